"""A night of a shop that is read from a push database, out of a real MariaDB."""

from datetime import date, datetime

import pytest
import yaml

from regulars.credentials import Credentials
from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.taobao_push import PushDatabase, Pusher
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.settings import PROJECT_ROOT
from regulars.shops import load_shops
from regulars.warehouse.read import query_published
from tests.servers import push_database  # noqa: F401
from tests.sources.push import SELLER
from tests.world import FIRST_NIGHT, open_world

PROFILE = PROJECT_ROOT / "config" / "profiles" / "push-database.yml"


def test_the_profile_is_a_shop_of_the_push_database():
    (shop,) = load_shops(PROFILE).shops
    assert (shop.source, shop.connection) == ("taobao_rds", "regulars_demo_push")


@pytest.mark.slow
def test_a_pushed_shop_comes_out_as_facts(tmp_path, push_database: PushDatabase):  # noqa: F811
    book = OrderBook.sample(households=40, until=date(2017, 10, 4))
    clock = ShopClock(datetime(2017, 10, 2, 2, tzinfo=PLATFORM_ZONE))
    switched_on = datetime(2017, 10, 1, tzinfo=PLATFORM_ZONE)
    Pusher(book, clock, push_database, switched_on=switched_on, late_share=0.0).push()
    with open_world(tmp_path, book=book) as world:
        document = yaml.safe_load(world.settings.shops_path.read_text(encoding="utf-8"))
        document["shops"][0] |= {"source": "taobao_rds", "connection": "pushed"}
        world.settings.shops_path.write_text(yaml.safe_dump(document), encoding="utf-8")
        world.credentials["pushed"] = Credentials(
            "pushed",
            host=f"{push_database.host}:{push_database.port}",
            login=push_database.user,
            password=push_database.password,
            extra={"database": push_database.name, "seller_nick": SELLER},
        )
        world.run(FIRST_NIGHT)
        sql = "select record_source, count(*) from fct_orders where created_date = '2017-10-01'"
        _, rows = query_published(world.settings, f"{sql} group by all")
        start = day_start(FIRST_NIGHT)
        created = ((book.created >= start) & (book.created < start + 86_400)).sum()
        assert rows == [("taobao_rds", int(created))]
        # The history came as files, the day was pushed: both make one shop, to the fen.
        _, rows = query_published(
            world.settings,
            "select verdict, count(*) from mart_platform_reconciliation group by all",
        )
        assert [verdict for verdict, _ in rows] == ["equal"]

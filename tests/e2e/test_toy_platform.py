"""A platform added as docs/how-to/add-a-platform.md says: two folders and a shop, nothing else."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from regulars import sources
from regulars.credentials import Credentials
from regulars.settings import PROJECT_ROOT
from regulars.warehouse.read import query_published
from tests.world import FIRST_NIGHT, open_world

pytestmark = pytest.mark.slow
SOURCE_FOLDER = Path(__file__).parent / "toy_source"
STAGING_FOLDER = Path(__file__).parents[1] / "dbt" / "toy"


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def order(number: str, buyer: str, changed: str, *cents: int) -> dict[str, object]:
    return {
        "number": number,
        "buyer": buyer,
        "state": "paid",
        "bought": seconds("2017-10-01T03:00"),
        "changed": seconds(changed),
        "cents": sum(cents),
        "lines": [
            {"position": no, "item": f"i{no}", "cents": one} for no, one in enumerate(cents, 1)
        ],
    }


@pytest.fixture
def toy_source(monkeypatch):
    """The package, found by its folder."""
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(SOURCE_FOLDER)])
    sources._packages.cache_clear()
    yield
    sources._packages.cache_clear()


def test_a_toy_platform_is_two_folders_and_a_shop(tmp_path, toy_source):
    with open_world(tmp_path) as world:
        project = tmp_path / "dbt_project"
        ignored = shutil.ignore_patterns("target", "logs")
        shutil.copytree(PROJECT_ROOT / "dbt_project", project, ignore=ignored)
        shutil.copytree(STAGING_FOLDER, project / "models" / "staging" / "toy")
        shops = world.settings.shops_path
        document = yaml.safe_load(shops.read_text())
        document["shops"].append(
            {**document["shops"][0], "shop": "toys", "platform": "toy", "source": "toy",
             "connection": "toys"}
        )  # fmt: skip
        shops.write_text(yaml.safe_dump(document))
        platform = tmp_path / "platform.json"
        world.credentials["toys"] = Credentials("toys", host=str(platform))
        world.settings = world.settings.model_copy(update={"dbt_project_dir": project})

        platform.write_text(
            json.dumps(
                {
                    "orders": [
                        order("1", "ann", "2017-10-01T03:00", 500, 400),
                        order("2", "bob", "2017-10-01T04:00", 700),
                        {**order("3", "bob", "2017-10-01T05:00", 1), "state": "lost"},
                    ],
                    "refunds": [],
                    "parcels": [],
                }
            )
        )
        # One order in three is of a state that nobody documented.
        document["shops"][1]["quarantine_share"] = 0.5
        shops.write_text(yaml.safe_dump(document))
        world.run(FIRST_NIGHT)
        found = "select order_id, paid_amount, line_count from fct_orders where shop = 'toys'"
        _, rows = query_published(world.settings, f"{found} order by order_id")
        assert [(number, str(paid), lines) for number, paid, lines in rows] == [
            ("1", "9.00", 2),
            ("2", "7.00", 1),
        ]

        platform.write_text(
            json.dumps(
                {
                    "orders": [order("1", "ann", "2017-10-02T03:00", 500)],
                    "refunds": [
                        {"refund": "r", "number": "2", "given_back": seconds("2017-10-02T05:00"),
                         "cents": 200}
                    ],
                    "parcels": [],
                }
            )
        )  # fmt: skip
        world.run(FIRST_NIGHT.replace(day=2))
        _, rows = query_published(
            world.settings,
            "select order_id, paid_amount, net_amount from fct_orders where shop = 'toys' "
            "order by order_id",
        )
        assert [tuple(map(str, row)) for row in rows] == [
            ("1", "5.00", "5.00"),
            ("2", "7.00", "5.00"),
        ]

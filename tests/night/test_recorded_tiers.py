"""The tiers that a night gives: recorded before anybody reads of them, once."""

from datetime import date
from types import SimpleNamespace
from uuid import UUID

import pytest
from tests.state.rows import DAY

from regulars.night import steps
from regulars.night.steps import Night
from regulars.settings import PROJECT_ROOT, Settings
from regulars.state import TierGrant, run_id_of
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables

RUN = run_id_of(DAY)
UNTIL = date(2018, 9, 30)
CUSTOMERS = [UUID(int=100 + number) for number in range(1, 5)]


class Killed(Exception):
    pass


@pytest.fixture
def night(tmp_path, monkeypatch):
    """A night whose marts give two members a tier; a third has one, a fourth has none."""
    settings = Settings(data_dir=tmp_path, config_dir=PROJECT_ROOT / "config", clock_url="")
    settings.warehouse_path.parent.mkdir(parents=True)
    made = Night(settings, lambda _: pytest.fail("no credentials"), holder="test")
    monkeypatch.setattr(Night, "_manifest", lambda *_: SimpleNamespace(as_of_date=DAY))
    monkeypatch.setattr(Night, "_expected_digest", lambda *_: "digest")
    made.state.nights.open(DAY)
    with open_warehouse(settings, holder="test") as connection:
        create_tables(connection)
        connection.execute("insert into warehouse.ops.run values (?, ?, null)", [RUN, DAY])
        connection.execute(
            """
            create table marts.main.mart_member_tiers (
                grant_id varchar, brand varchar, member_key uuid, customer_key uuid,
                program varchar, tier varchar, tier_level integer, previous_level integer,
                grant_reason varchar, granted_date date, valid_until_date date,
                is_granted_tonight boolean
            )
            """
        )
        for number, (id_, level, reason, on, until) in enumerate(
            (
                ("g1", 2, "renew", DAY, UNTIL),
                ("g2", 1, "upgrade", DAY, None),
                (None, 3, "upgrade", date(2017, 5, 1), date(2018, 4, 30)),
                (None, 0, None, None, None),
            ),
            start=1,
        ):
            connection.execute(
                "insert into marts.main.mart_member_tiers values "
                "(?, 'demo', ?, ?, 'first', 't', ?, ?, ?, ?, ?, ?)",
                [
                    *(id_, UUID(int=number), CUSTOMERS[number - 1]),
                    *(level, 2 if reason == "renew" else 0, reason, on, until, id_ is not None),
                ],
            )
    return made


@pytest.fixture
def published(night, monkeypatch):
    """What was recorded whenever the marts were published; the first attempt is killed."""
    seen = []

    def publish(*_, **__):
        seen.append([one.grant_id for one in night.state.grants.of_customers(CUSTOMERS)])
        if len(seen) == 1:
            raise Killed
        return SimpleNamespace(file="f", digest="digest", model_dump=lambda **_: {})

    monkeypatch.setattr(steps.publish, "publish_marts", publish)
    return seen


def test_tiers_are_recorded_before_they_are_published_and_once(night, published) -> None:
    with pytest.raises(Killed):
        night.publish_marts(RUN)
    night.publish_marts(RUN)
    assert published == [["g1", "g2"]] * 2
    common = {
        "run_id": RUN, "brand": "demo", "program": "first", "tier": "t", "decided_on": DAY,
        "evidence": f"mart_member_tiers of {RUN}",
    }  # fmt: skip
    assert night.state.grants.of_customers(CUSTOMERS) == [
        TierGrant(
            grant_id="g1", member_key=UUID(int=1), customer_key=CUSTOMERS[0], level=2,
            previous_level=2, reason="renew", valid_until=UNTIL, **common,
        ),
        TierGrant(
            grant_id="g2", member_key=UUID(int=2), customer_key=CUSTOMERS[1], level=1,
            previous_level=0, reason="upgrade", valid_until=None, **common,
        ),
    ]  # fmt: skip


def test_a_completed_night_gives_nothing_more(night, published) -> None:
    night.state.nights.complete(RUN, digest="digest", published_file="f")
    with pytest.raises(Killed):
        night.publish_marts(RUN)
    night.publish_marts(RUN)
    assert published == [[], []]

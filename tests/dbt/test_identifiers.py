"""Typed identifiers: which may join people, and that a night changes what it touches."""

import csv
from datetime import date
from pathlib import Path

import pytest

from tests.dbt.nights import Batch, Night, Warehouse, utc
from tests.dbt.project import PROJECT_DIR, Project, open_pair

ORDER = {
    "order_id": "1", "buyer_id": "u1", "status": "paid", "paid_amount": "1.00",
    "created_at": "2017-10-01T00:00:00Z", "modified_at": "2017-10-01T01:00:00Z",
}  # fmt: skip
EAST = {"east": utc(2017, 10, 2, 16), "west": utc(2017, 10, 3, 4)}
NEXT = {"east": utc(2017, 10, 3, 16), "west": utc(2017, 10, 4, 4)}
FIRST = Night(
    date(2017, 10, 2),
    EAST,
    [
        Batch("o1", "file", "orders", "east", [
            {**ORDER, "payer_phone_hash": "h1", "payer_phone_ref": "r1"},
            {**ORDER, "order_id": "2", "buyer_id": "u2"},
        ]),
    ],
)  # fmt: skip
SECOND = Night(
    date(2017, 10, 3),
    NEXT,
    [
        # The platform corrects the buyer of order 1; a member of u2 tells a phone.
        Batch("o2", "file", "orders", "east", [
            {**ORDER, "buyer_id": "u3", "modified_at": "2017-10-02T20:00:00Z"},
        ]),
        Batch("m2", "file", "members", "east", [
            {"member_id": "m", "buyer_id": "u2", "phone_hash": "h2", "phone_ref": "r2",
             "modified_at": "2017-10-02T20:00:00Z"},
        ]),
    ],
)  # fmt: skip
ROWS = """
    select customer_key, identifier_type, identifier_key, contact_ref, first_seen_at, last_seen_at
    from intermediate.int_customers__identifiers order by all
"""


def _types() -> list[dict[str, str]]:
    with (PROJECT_DIR / "seeds" / "identifier_types.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_no_oaid_and_no_receiver_is_ever_an_identity_key() -> None:
    joining = {row["identifier_type"] for row in _types() if row["is_identity_key"] == "true"}
    assert joining.isdisjoint({"oaid", "addressee_ref", "receiver_phone_hash"})
    assert {row["scope"] for row in _types() if row["identifier_type"] == "oaid"} == {"order"}


def test_every_field_has_a_row_for_whoever_has_none() -> None:
    everywhere = {r["field"] for r in _types() if (r["platform"], r["record_source"]) == ("*", "*")}
    # An ouid is Taobao's; every other field may come from any source.
    assert {row["field"] for row in _types()} - everywhere == {"ouid"}
    keys = [(row["field"], row["platform"], row["record_source"]) for row in _types()]
    assert len(set(keys)) == len(keys)


def test_a_number_of_the_shops_own_in_a_file_is_no_other_shops_buyer() -> None:
    scopes = {
        (row["platform"], row["record_source"]): row["scope"]
        for row in _types()
        if row["field"] == "buyer_id"
    }
    beyond = {platform for (platform, _), scope in scopes.items() if scope in ("app", "platform")}
    assert {"taobao", "jd", "doudian"} <= beyond
    assert {scopes.get((platform, "file")) for platform in beyond} == {"shop"}


def _rows(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with open_pair(warehouse.directory) as connection:
        return connection.execute(ROWS).fetchall()


@pytest.mark.slow
def test_two_nights_know_what_one_build_knows(project: Project, tmp_path: Path) -> None:
    nightly = Warehouse(project, tmp_path / "nightly")
    nightly.prepare()
    for night in (FIRST, SECOND):
        nightly.land(night)
        nightly.build(night, "--select", "tag:core")
        nightly.consume(night)
    at_once = Warehouse(project, tmp_path / "at_once")
    at_once.prepare()
    at_once.land(FIRST)
    at_once.land(SECOND)
    at_once.build(SECOND, "--select", "tag:core")
    assert _rows(nightly) == _rows(at_once)
    kinds = [str(row[1]) for row in _rows(nightly)]
    # u1 is nobody any more: the phone that paid order 1 was in a version of the old buyer.
    assert sorted(kinds) == ["member_card", "phone_hash", "platform_buyer_id", "platform_buyer_id"]

"""Who is whose member over several nights: merged, unmerged, merged again (F-ID3, laws 2 and 5)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from regulars.keys import founded_member_key, shop_key
from tests.dbt.nights import Warehouse, differences, utc
from tests.dbt.project import Project, open_pair
from tests.dbt.shop_story import Batch, Night, Record

pytestmark = pytest.mark.slow

MARTS = ("--exclude", "tag:activation")


def _customer(name: str) -> UUID:
    """Key of the customer ``shop/buyer``."""
    shop, buyer = name.split("/")
    return shop_key("b", "p", shop, buyer)


def _member(buyer: str, phone: str, day: int, **said: str) -> Record:
    return {
        "member_id": buyer, "buyer_id": buyer, "phone_hash": phone, "phone_ref": f"ct_{phone}",
        "phone_masked": "138****0000", "modified_at": f"2017-10-{day:02d}T01:00:00Z", **said,
    }  # fmt: skip


def _trade(tid: str, buyer: str, day: int, changed: int | None = None) -> Record:
    return {
        "tid": tid, "buyer_open_uid": buyer, "created": f"2017-10-{day:02d} 08:00:00",
        "modified": f"2017-10-{changed or day:02d} 09:00:00", "payment": "5.00",
        "total_fee": "5.00", "post_fee": "0.00", "status": "WAIT_SELLER_SEND_GOODS",
        "pay_time": f"2017-10-{day:02d} 09:00:00",
        "orders": [{"oid": f"{tid}0", "num_iid": "i1", "price": "5.00", "num": "1",
                    "payment": "5.00", "divide_order_fee": "5.00"}],
    }  # fmt: skip


def _paid(name: str, buyer: str | None, day: int, order_id: str = "9", phone: str = "hP") -> Batch:
    """An order that a phone paid, bought by whom it is said to be bought today."""
    order = {
        "order_id": order_id, "buyer_id": buyer, "status": "paid",
        "created_at": "2017-10-01T00:00:00Z", "paid_at": "2017-10-01T00:10:00Z",
        "modified_at": f"2017-10-{day:02d}T02:00:00Z", "paid_amount": "7.00",
        "payer_phone_hash": phone, "payer_phone_ref": f"ct_{phone}",
    }  # fmt: skip
    return Batch(name, "file", "orders", "east", [order])


def _decided(seq: int, one: str, other: str, kind: str, day: int) -> tuple[Any, ...]:
    pair = sorted([_customer(one), _customer(other)])
    return seq, "b", *pair, kind, utc(2017, 10, day, 20)


def _night(day: int, batches: list[Batch], decisions: list[tuple[Any, ...]] = []) -> Night:  # noqa: B006
    end = utc(2017, 10, day, 16)
    ends = {"east": end, "west": end + timedelta(hours=12)}
    return Night(date(2017, 10, day), ends, batches, decisions=decisions)


def _members(name: str, shop: str, *records: Record) -> Batch:
    return Batch(name, "file", "members", shop, list(records))


def _orders(name: str, shop: str, *records: Record) -> Batch:
    return Batch(name, "taobao_top", "orders", shop, list(records))


NIGHTS = [
    # One person buys at both shops; a phone of three people; a chain over three; two strangers; and
    # somebody who is known by the phone that paid an order.
    _night(1, [
        _members("a1", "east", _member("u1", "hA", 1, city="Wuhan"), _member("u2", "hB", 1),
                 _member("u3", "hX", 1), _member("u4", "hX", 1),
                 _member("u6", "hC", 1), _member("u7", "hC", 1, email_hash="eC")),
        _members("a2", "west", _member("v1", "hA", 1), _member("v2", "hD", 1),
                 _member("v3", "hX", 1), _member("v6", "hE", 1, email_hash="eC"),
                 _member("v8", "hP", 1)),
        _orders("a3", "east", _trade("1", "u1", 1), _trade("3", "u3", 1), _trade("4", "u4", 1),
                _trade("6", "u6", 1)),
        _orders("a4", "west", _trade("2", "v1", 1), _trade("7", "v6", 1), _trade("8", "v8", 1)),
        _paid("a5", "u8", 1),
        # Somebody with a sixth phone, which another has: it joins them not.
        _paid("a6", "u10", 1, "10", "hQ"),
        _members("a7", "east", *(_member("u10", f"h{n}", 1) for n in range(5))),
        _members("a8", "west", _member("v10", "hQ", 1)),
        # Orders that name nobody: two carry somebody's phone, two the same phone of nobody.
        _members("a9", "east", _member("u12", "hG", 1)),
        *(_paid(f"a1{n}", None, 1, f"2{n}", "hG") for n in range(2)),
        *(_paid(f"a2{n}", None, 1, f"3{n}", "hN") for n in range(2)),
    ]),
    # A fourth customer has the shared phone; v1 has a further one, which takes nothing back; the
    # order that proved something moves to another buyer.
    _night(2, [
        _members("b1", "west", _member("v1", "hZ", 2)),
        _members("b2", "east", _member("u5", "hX", 2)),
        _paid("b3", "u9", 2),
        # Only one has the sixth phone by now.
        _paid("b4", "u11", 2, "10", "hR"),
        # The regular without an account orders on, more often than people may share a phone.
        *(_paid(f"b2{n}", None, 2, f"2{n}", "hG") for n in range(2, 4)),
        # One is corrected to the phone of somebody else: it says no more whose it is.
        _paid("b5", None, 2, "21", "hB"),
    ]),
    # It moves back, another order moves for good, and strangers are merged by hand.
    _night(3, [
        # A fifth customer has the phone that is believed of nobody by now.
        _members("c3", "west", _member("v5", "hX", 3)),
        _paid("c1", "u8", 3),
        _orders("c2", "east", _trade("4", "u2", 1, changed=3)),
    ], [_decided(1, "east/u2", "west/v2", "merge", 3)]),
    # Both kinds of merges are taken apart by hand, and the ends of the chain are two people.
    _night(4, [], [
        _decided(2, "east/u2", "west/v2", "split", 4),
        _decided(3, "east/u1", "west/v1", "split", 4),
        _decided(4, "east/u6", "west/v6", "split", 4),
    ]),
    # And put together again.
    _night(5, [], [
        _decided(5, "east/u2", "west/v2", "merge", 5), _decided(6, "east/u1", "west/v1", "undo", 5),
        _decided(7, "east/u6", "west/v6", "undo", 5),
    ]),
]  # fmt: skip

PAIR = {"east/u1", "west/v1"}
CHAIN = {"east/u6", "east/u7", "west/v6"}
PAYER = {"east/u8", "west/v8"}
FIRST_GUESTS = {"east/u12", "east/order:20", "east/order:21"}
GUESTS = {"east/u12", "east/order:20", "east/order:22", "east/order:23"}
BY_HAND = {"east/u2", "west/v2"}
EXPECTED = [
    [PAIR, CHAIN, PAYER, FIRST_GUESTS, {"east/u3", "east/u4", "west/v3"}],
    [PAIR, CHAIN, GUESTS, {"east/u9", "west/v8"}],
    [PAIR, CHAIN, PAYER, GUESTS, BY_HAND],
    [PAYER, GUESTS],
    [PAIR, CHAIN, PAYER, GUESTS, BY_HAND],
]
"""After each night: who of more than one customer is one member."""


@dataclass
class Told:
    """Nights built one by one, with the marts after each, and what each rebuild came to."""

    nightly: list[dict[str, Any]]
    clustered: list[set[UUID]]
    parted: dict[str, Any]
    undisturbed: dict[str, Any]


@pytest.fixture(scope="module")
def told(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("identity")
    nightly = Warehouse(project, folder / "nightly")
    nightly.prepare()
    found = Told([], [], {}, {})
    for number, night in enumerate(NIGHTS):
        nightly.land(night)
        nightly.build(night, *MARTS, run_id=f"night-{number}")
        found.clustered.append(_clustered(nightly))
        nightly.consume(night)
        found.nightly.append(nightly.marts())
    found.parted = _rebuilt(project, folder / "parted", NIGHTS[:4])
    quiet = [replace(night, decisions=[]) if night is not NIGHTS[2] else night for night in NIGHTS]
    found.undisturbed = _rebuilt(project, folder / "undisturbed", quiet)
    yield found


def _clustered(warehouse: Warehouse) -> set[UUID]:
    """Customers whose member may have become another."""
    with open_pair(warehouse.directory) as connection:
        query = "select key from ops.touched_keys where subject = 'clustered'"
        return {row[0] for row in connection.execute(query).fetchall()}


def _rebuilt(project: Project, folder: Path, nights: list[Night]) -> dict[str, Any]:
    """The marts of a warehouse that is built once, from all that has landed."""
    warehouse = Warehouse(project, folder)
    warehouse.prepare()
    for night in nights:
        warehouse.land(night)
    warehouse.build(nights[-1], *MARTS, run_id="rebuild")
    return warehouse.marts()


def _persons(marts: dict[str, Any]) -> list[set[UUID]]:
    """Customers of each member that has more than one."""
    by_member: dict[UUID, set[UUID]] = {}
    for customer, member, *_ in marts["dim_member_identities"]:
        by_member.setdefault(member, set()).add(customer)
    return sorted((them for them in by_member.values() if len(them) > 1), key=sorted)


@pytest.mark.parametrize("number", range(len(NIGHTS)))
def test_customers_are_one_member_by_what_they_share_and_what_is_decided(
    told: Told, number: int
) -> None:
    expected = sorted(
        ({_customer(name) for name in person} for person in EXPECTED[number]), key=sorted
    )
    assert _persons(told.nightly[number]) == expected


def test_sum_of_nights_with_merges_and_unmerges_equals_a_rebuild(told: Told) -> None:
    assert differences(told.nightly[3], told.parted) == ""


def test_merged_unmerged_and_merged_again_every_mart_is_as_if_nothing_had_been(told: Told) -> None:
    assert differences(told.nightly[4], told.undisturbed) == ""


def test_the_key_that_was_recorded_first_stands_and_the_other_comes_back(told: Told) -> None:
    pair = {_customer(name): founded_member_key(_customer(name)) for name in PAIR}
    found = [
        {row[0]: row[1] for row in marts["dim_member_identities"] if row[0] in pair}
        for marts in told.nightly
    ]
    # Landed in one instant, the lesser key counts as the first.
    first = founded_member_key(min(pair, key=lambda key: key.int))
    assert found[0] == found[4] == dict.fromkeys(pair, first)
    assert found[3] == pair
    members = [{row[0] for row in marts["dim_members"]} for marts in told.nightly]
    assert set(pair.values()) & members[0] == {first}
    assert set(pair.values()) <= members[3]


def test_an_identifier_of_too_many_is_named_counted_and_not_used(told: Told) -> None:
    rows = [row for row in told.nightly[1]["dim_member_links"] if row[5] == 4]
    assert {row[0] for row in rows} == {
        _customer(name) for name in ("east/u3", "east/u4", "east/u5", "west/v3")
    }
    assert {row[3:4] + row[6:8] for row in rows} == {("phone_hash", False, "shared_by_too_many")}
    assert len({row[4] for row in rows}) == 1


def test_who_comes_to_an_identifier_of_too_many_hands_on_nobody_else(told: Told) -> None:
    shared = {_customer(name) for name in ("east/u3", "east/u4", "east/u5", "west/v3")}
    assert shared <= told.clustered[1], "three it had joined come apart"
    assert _customer("west/v5") in told.clustered[2]
    # That of the fourth changes for another reason: its order moves away.
    assert told.clustered[2] & shared == {_customer("east/u4")}
    counts = {row[0]: row[5] for row in told.nightly[2]["dim_member_links"] if row[0] in shared}
    assert counts == dict.fromkeys(shared, 5)


def test_what_connects_two_people_joins_nobody(told: Told) -> None:
    told_of = {
        (row[0], row[3]): row[7]
        for row in told.nightly[3]["dim_member_links"]
        if row[0] in {_customer(name) for name in CHAIN | PAIR}
    }
    assert told_of == {
        (_customer("east/u6"), "phone_hash"): "connects_two_people",
        (_customer("east/u7"), "phone_hash"): "connects_two_people",
        (_customer("east/u7"), "email_hash"): "connects_two_people",
        (_customer("west/v6"), "email_hash"): "connects_two_people",
        (_customer("east/u1"), "phone_hash"): "parted_by_hand",
        (_customer("west/v1"), "phone_hash"): "parted_by_hand",
    }

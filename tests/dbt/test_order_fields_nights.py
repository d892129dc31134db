"""Payers and receivers, flagged orders, guests and three stores, over nights and at once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from tests.dbt.nights import Warehouse, differences, utc
from tests.dbt.project import Project, open_pair
from tests.dbt.shop_story import Batch, Night, Record

pytestmark = pytest.mark.slow

FLAGS = """
    insert into seeds.order_flags values
    ('b', 'p', 'east', 'order', 'by-order', 'brushing', '2017-10-02', 'the parcel was empty'),
    ('b', 'p', 'east', 'buyer', 'dealer', 'wholesale', '2017-10-03', 'has a shop of their own')
"""
RULES = json.dumps({"receiver_max_shops": 1, "wholesale_quantity": 100})


def _order(order_id: str, buyer: str | None, day: int, amount: str = "9.00", **more: Any) -> Record:
    return {
        "order_id": order_id, "buyer_id": buyer, "status": "paid", "paid_amount": amount,
        "created_at": f"2017-10-{day:02d}T01:00:00Z", "paid_at": f"2017-10-{day:02d}T02:00:00Z",
        "modified_at": f"2017-10-{day:02d}T02:00:00Z", **more,
    }  # fmt: skip


def _line(order_id: str, amount: str = "9.00", quantity: str = "1") -> Record:
    return {"order_id": order_id, "line_no": "1", "line_id": f"{order_id}-1", "product_id": "i1",
            "quantity": quantity, "paid_amount": amount}  # fmt: skip


def _refund(refund_id: str, order_id: str, day: int, amount: str = "9.00") -> Record:
    moment = f"2017-10-{day:02d}T05:00:00Z"
    return {"refund_id": refund_id, "order_id": order_id, "line_id": f"{order_id}-1",
            "status": "succeeded", "created_at": moment, "refunded_at": moment,
            "modified_at": moment, "refund_amount": amount, "is_return_goods": "true"}  # fmt: skip


def _service(
    service_id: str, order_id: str, kind: str, store: str, day: int, **more: Any
) -> Record:
    return {"service_id": service_id, "order_id": order_id, "line_id": f"{order_id}-1",
            "kind": kind, "store_id": store, "occurred_at": f"2017-10-{day:02d}T05:00:00Z",
            **more}  # fmt: skip


def _phone(role: str, name: str) -> Record:
    return {f"{role}_phone_hash": name, f"{role}_phone_ref": f"token-{name}"}


def _night(day: int, *batches: tuple[str, str, list[Record]]) -> Night:
    ends = {
        "east": utc(2017, 10, day, 16),
        "west": utc(2017, 10, day + 1, 4),
    }
    landed = [
        Batch(f"{day}-{stream}-{shop}", "file", stream, shop, records)
        for stream, shop, records in batches
    ]
    return Night(date(2017, 10, day), ends, landed)


NIGHTS = [
    _night(
        1,
        ("orders", "east", [
            _order("gift", "anna", 1, **_phone("payer", "h1"), **_phone("receiver", "h9")),
            _order("other", "bert", 1, **_phone("payer", "h2"), **_phone("receiver", "h9")),
            _order("same", "carl", 1, **_phone("payer", "h1")),
            _order("guest-1", None, 1), _order("guest-2", None, 1),
            _order("by-order", "dora", 1), _order("by-buyer", "dealer", 1),
            _order("pallet", "emil", 1),
            _order("shared-1", "fred", 1, **_phone("receiver", "h5")),
            _order("bought", "gina", 1, store_id="A"),
            _order("whole", "hans", 1, store_id="A"),
            _order("again", "kate", 1),
        ]),
        ("order_lines", "east", [_line("pallet", quantity="100"), _line("bought"), _line("whole")]),
        ("orders", "west", [_order("alone", "iris", 1, **_phone("receiver", "h6"))]),
    ),
    _night(
        2,
        ("orders", "west", [_order("shared-2", "jane", 2, **_phone("receiver", "h5"))]),
        # Store B exchanges what store A sold: its till books a refund and another order. Another
        # till books neither.
        ("orders", "east", [
            _order("swap", "gina", 2, store_id="B"), _order("again-1", "kate", 2),
        ]),
        ("order_lines", "east", [_line("swap")]),
        ("refunds", "east", [_refund("r1", "bought", 2), _refund("r4", "again", 2)]),
        ("store_services", "east", [
            _service("x1", "bought", "exchange", "B", 2, refund_id="r1",
                     replacement_order_id="swap"),
            _service("x2", "whole", "exchange", "B", 2),
            _service("x5", "again", "exchange", "E", 2, refund_id="r4",
                     replacement_order_id="again-1"),
        ]),
    ),
    # Store C takes a part of both back; one till knows what it took back by the order of store B.
    # And what was handed out for a third is exchanged again.
    _night(
        3,
        ("orders", "east", [_order("again-2", "kate", 3)]),
        ("refunds", "east", [
            _refund("r2", "swap", 3, "4.00"), _refund("r3", "whole", 3, "9.00"),
            _refund("r5", "again-1", 3),
        ]),
        ("store_services", "east", [
            _service("x6", "again-1", "exchange", "E", 3, refund_id="r5",
                     replacement_order_id="again-2"),
            _service("x3", "bought", "return", "C", 3, refund_id="r2"),
            _service("x4", "whole", "return", "C", 3, refund_id="r3"),
        ]),
    ),
    # The first exchange was entered for the wrong order and is struck out.
    _night(
        4,
        ("refunds", "east", [_refund("r6", "again-2", 4)]),
        ("store_services", "east", [_service("x1", "whole", "exchange", "D", 2)]),
    ),
]  # fmt: skip


@dataclass
class Told:
    """What the marts held after each night, and what one build of the last night holds."""

    nights: list[dict[str, dict[str, Any]]]
    nightly: Warehouse
    rebuilt: Warehouse


@pytest.fixture(scope="module")
def told(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("order_fields")
    nightly = Warehouse(project, folder / "nightly")
    rebuilt = Warehouse(project, folder / "rebuilt")
    for warehouse in (nightly, rebuilt):
        warehouse.prepare()
        with open_pair(warehouse.directory) as connection:
            connection.execute(FLAGS)
    nights = []
    for night in NIGHTS:
        nightly.land(night)
        rebuilt.land(night)
        nightly.build(night, "--select", "tag:core", "--vars", RULES)
        nightly.consume(night)
        nights.append({row["order_id"]: row for row in _rows(nightly, "from marts.fct_orders")})
    rebuilt.build(NIGHTS[-1], "--select", "tag:core", "--vars", RULES)
    yield Told(nights, nightly, rebuilt)


def _rows(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    with open_pair(warehouse.directory) as connection:
        result = connection.execute(query)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def test_sum_of_nights_equals_a_rebuild(told: Told) -> None:
    assert differences(told.nightly.marts(), told.rebuilt.marts()) == ""


def test_who_receives_is_joined_with_nobody(told: Told) -> None:
    links = _rows(told.rebuilt, "from marts.dim_member_links")
    members = _rows(
        told.rebuilt,
        """
        select customers.buyer_id, identities.member_key
        from marts.dim_member_identities as identities
        inner join marts.dim_customers as customers
            on identities.customer_key = customers.customer_key
        where customers.buyer_id in ('anna', 'bert', 'carl', 'fred', 'jane')
        """,
    )
    keys = {row["buyer_id"]: row["member_key"] for row in members}
    # Who pays by the same phone is one person; who is sent to the same phone is not.
    assert links, "a world in which nobody is joined proves nothing"
    assert keys["anna"] == keys["carl"]
    assert len(set(keys.values())) == 4
    gift = told.nights[0]["gift"]
    assert gift["is_gift"]
    assert gift["receiver_contact_ref"] == "token-h9"
    assert gift["service_contact_ref"] == gift["payer_contact_ref"] == "token-h1"


def test_a_flag_counts_from_its_day_on(told: Told) -> None:
    reasons = [
        {name: row["invalid_reason"] for name, row in night.items() if row["invalid_reason"]}
        for night in told.nights
    ]
    assert reasons[0] == {"pallet": "wholesale"}
    shared = {"shared-1": "brushing", "shared-2": "brushing"}
    assert (
        reasons[1]
        == {"pallet": "wholesale", "by-order": "brushing", "swap": "exchange"}
        | {"again-1": "exchange"}
        | shared
    )
    late = {"by-buyer": "wholesale", "whole": "refunded", "again-2": "exchange"}
    assert reasons[2] == reasons[1] | late
    assert {row["flagged_by"] for row in told.nights[2].values()} == {
        None, "hand", "shared_receiver", "store_service", "wholesale_quantity",
    }  # fmt: skip


def test_every_order_without_a_buyer_is_somebody_of_its_own(told: Told) -> None:
    guests = [row for row in told.nights[-1].values() if row["is_guest"]]
    assert {row["order_id"] for row in guests} == {"guest-1", "guest-2"}
    assert len({row["customer_key"] for row in guests}) == 2
    customers = _rows(told.rebuilt, "select buyer_id from marts.dim_customers where is_guest")
    assert {row["buyer_id"] for row in customers} == {"order:guest-1", "order:guest-2"}


def test_bought_at_one_store_exchanged_and_returned_at_others(told: Told) -> None:
    exchanged, returned = told.nights[1]["bought"], told.nights[2]["bought"]
    assert (exchanged["store_id"], exchanged["store_exchanged_id"]) == ("A", "B")
    assert exchanged["store_returned_id"] is None
    assert exchanged["is_valid_order"]
    assert exchanged["net_amount"] == 9
    assert returned["store_returned_id"] == "C"
    # Counted once, for whoever bought it; what went back later is the first order's.
    assert returned["net_amount"] == 5
    assert not told.nights[2]["swap"]["is_valid_order"]
    assert returned["customer_key"] == told.nights[2]["swap"]["customer_key"]
    # An exchange that no till booked leaves the order as it is, and a return ends it.
    assert told.nights[1]["whole"]["is_valid_order"]
    assert told.nights[2]["whole"]["void_date"] == date(2017, 10, 3)


def test_what_is_exchanged_again_and_given_back_ends_the_first_order(told: Told) -> None:
    nets = [night["again"]["net_amount"] for night in told.nights]
    assert nets == [9, 9, 9, 0]
    assert told.nights[3]["again"]["void_date"] == date(2017, 10, 4)
    replaced = [told.nights[3][name]["invalid_reason"] for name in ("again-1", "again-2")]
    assert replaced == ["exchange", "exchange"]


def test_an_exchange_struck_out_leaves_a_return_and_a_purchase(told: Told) -> None:
    bought, swap = told.nights[3]["bought"], told.nights[3]["swap"]
    assert bought["store_exchanged_id"] is None
    assert bought["net_amount"] == 0
    assert swap["is_valid_order"]
    assert swap["net_amount"] == 5


def test_a_stores_sales_are_its_own_wherever_goods_go_back(told: Told) -> None:
    days = {
        (row["store_id"], row["day_date"].day): row
        for row in _rows(told.nightly, "from marts.mart_store_daily")
    }
    sold = days["A", 1]
    assert (sold["order_count"], sold["gross_amount"], sold["net_amount"]) == (2, 18, 0)
    assert (days["C", 3]["return_count"], days["C", 3]["gross_amount"]) == (2, 0)
    assert days["D", 2]["exchange_count"] == 1

"""Events of an order that changes its mind between two nights: nothing of the old story is left."""

from datetime import date
from pathlib import Path

import pytest

from tests.dbt.nights import Warehouse, utc
from tests.dbt.project import Project, open_pair
from tests.dbt.shop_story import Batch, Night, Record

pytestmark = pytest.mark.slow


def _trade(tid: str, buyer: str, status: str, modified: str, **instants: str) -> Record:
    return {
        "tid": tid, "buyer_open_uid": buyer, "status": status, "created": "2017-10-01 08:00:00",
        "modified": modified, "payment": "5.00", "total_fee": "5.00", "post_fee": "0.00",
        "orders": [{"oid": f"{tid}0", "num_iid": "i1", "price": "5.00", "num": "1",
                    "payment": "5.00", "divide_order_fee": "5.00"}],
        **instants,
    }  # fmt: skip


def _review(review_id: str, order_id: str) -> Record:
    return {
        "review_id": review_id, "order_id": order_id, "buyer_id": "u1", "content": "good",
        "created_at": "2017-10-01T05:00:00Z",
    }  # fmt: skip


def _night(day: int, *batches: Batch) -> Night:
    ends = {
        "east": utc(2017, 10, day, 16),
        "west": utc(2017, 10, day + 1, 4),
    }
    return Night(date(2017, 10, day), ends, list(batches))


NIGHTS = [
    _night(
        1,
        Batch("a1", "taobao_top", "orders", "east", [
            _trade("1", "u1", "WAIT_SELLER_SEND_GOODS", "2017-10-01 09:00:00",
                   pay_time="2017-10-01 09:00:00"),
            # Landed already, but not a thing of this business date.
            _trade("2", "u1", "WAIT_BUYER_CONFIRM_GOODS", "2017-10-02 09:00:00",
                   pay_time="2017-10-01 09:00:00", consign_time="2017-10-02 09:00:00"),
            _trade("3", "u1", "WAIT_BUYER_PAY", "2017-10-01 08:00:00"),
        ]),
        Batch("a2", "file", "reviews", "east", [_review("v1", "1")]),
    ),
    _night(
        2,
        # The payment was a mistake of the platform, and so was the buyer.
        Batch("b1", "taobao_top", "orders", "east", [
            _trade("1", "u2", "TRADE_CLOSED_BY_TAOBAO", "2017-10-02 10:00:00",
                   end_time="2017-10-02 10:00:00"),
        ]),
        # The first review was of another order; the second is all that happens to its order.
        Batch("b2", "file", "reviews", "east", [_review("v1", "2"), _review("v2", "3")]),
    ),
]  # fmt: skip
EVENTS = """
    select orders.order_id, events.event, customers.buyer_id
    from marts.fct_order_events as events
    inner join marts.fct_orders as orders on events.order_key = orders.order_key
    inner join marts.dim_customers as customers on events.customer_key = customers.customer_key
    order by all
"""


def test_what_an_order_no_longer_went_through_is_gone(project: Project, tmp_path: Path) -> None:
    warehouse = Warehouse(project, tmp_path)
    warehouse.prepare()
    told = []
    for night in NIGHTS:
        warehouse.land(night)
        warehouse.build(night, "--select", "tag:core")
        warehouse.consume(night)
        with open_pair(tmp_path) as connection:
            told.append(connection.execute(EVENTS).fetchall())
    assert told[0] == [
        ("1", "created", "u1"), ("1", "paid", "u1"), ("1", "rated", "u1"),
        ("2", "created", "u1"), ("2", "paid", "u1"),
        ("3", "created", "u1"),
    ]  # fmt: skip
    assert told[1] == [
        ("1", "closed", "u2"), ("1", "created", "u2"),
        ("2", "created", "u1"), ("2", "paid", "u1"), ("2", "rated", "u1"), ("2", "shipped", "u1"),
        ("3", "created", "u1"), ("3", "rated", "u1"),
    ]  # fmt: skip

"""What is said about a member shows on its own day, in nights as in a rebuild (law 2)."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.nights import Warehouse, differences, utc
from tests.dbt.project import Project, open_pair
from tests.dbt.shop_story import Batch, Night, Record

pytestmark = pytest.mark.slow

EVERYTHING_BUT_QUEUES = ("--exclude", "tag:activation")


def _member(buyer: str, **said: str) -> Record:
    """As a file without modified_at tells it; what it says may be dated later than the file."""
    return {"member_id": buyer, "buyer_id": buyer, **said}


def _trade(tid: str, buyer: str, modified: str) -> Record:
    paid = {"status": "WAIT_SELLER_SEND_GOODS", "pay_time": "2017-10-01 09:00:00"}
    return {
        "tid": tid, "buyer_open_uid": buyer, "created": "2017-10-01 08:00:00",
        "modified": modified, "payment": "5.00", "total_fee": "5.00", "post_fee": "0.00", **paid,
        "orders": [{"oid": f"{tid}0", "num_iid": "i1", "price": "5.00", "num": "1",
                    "payment": "5.00", "divide_order_fee": "5.00"}],
    }  # fmt: skip


def _review(oid: str, tid: str, content: str) -> Record:
    """A review as the platform gives it: its buyer is the order's."""
    return {
        "oid": oid, "tid": tid, "content": content, "result": "good",
        "created": "2017-10-01 12:00:00", "num_iid": "i1",
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
        Batch("a1", "file", "members", "east", [
            _member("u1", sms_consent="granted", sms_consent_at="2017-10-02T10:00:00Z"),
            # After the end of the shop's first of October, before that of the brand's.
            _member("u2", email_consent="granted", email_consent_at="2017-10-01T20:00:00Z"),
            _member("u3", email_consent="granted", email_consent_at="2017-10-03T03:59:59Z"),
            _member("u4", sms_consent="granted", sms_consent_at="2017-10-03T04:00:00Z"),
        ]),
        Batch("a2", "taobao_top", "orders", "east", [
            _trade(tid, buyer, "2017-10-01 09:00:00")
            for tid, buyer in (("1", "u1"), ("2", "u1"), ("3", "u2"), ("4", "u2"), ("5", "u5"))
        ]),
        Batch("a3", "taobao_top", "reviews", "east", [
            _review("10", "1", "fresh"), _review("30", "3", "fresh"),
        ]),
    ),
    # Nothing is landed about u1 and u3: their day has come, that is all.
    _night(
        2,
        Batch("b1", "taobao_top", "orders", "east", [_trade("4", "u3", "2017-10-02 09:00:00"),
                                                     _trade("3", "u3", "2017-10-02 09:00:00")]),
        Batch("b2", "taobao_top", "reviews", "east", [_review("10", "1", "此用户没有填写评价。")]),
    ),
]  # fmt: skip


def _ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with open_pair(warehouse.directory) as connection:
        return connection.execute(query).fetchall()


CONSENTS = """
    select customers.buyer_id, members.sms_consent, members.email_consent
    from marts.dim_members as members
    inner join marts.dim_customers as customers
        on members.first_customer_key = customers.customer_key
    where customers.buyer_id <> 'u5'
    order by all
"""
FANS = """
    select customers.buyer_id
    from marts.mart_member_lifecycle as lifecycle
    inner join marts.dim_members as members on lifecycle.member_key = members.member_key
    inner join marts.dim_customers as customers
        on members.first_customer_key = customers.customer_key
    where lifecycle.count_stage = 'fan'
    order by all
"""


def test_words_show_on_their_day_in_nights_as_in_a_rebuild(
    project: Project, tmp_path: Path
) -> None:
    nightly, rebuilt = (Warehouse(project, tmp_path / name) for name in ("nightly", "rebuilt"))
    said, fans = [], []
    for warehouse in (nightly, rebuilt):
        warehouse.prepare()
    for night in NIGHTS:
        nightly.land(night)
        rebuilt.land(night)
        nightly.build(night, *EVERYTHING_BUT_QUEUES)
        nightly.consume(night)
        said.append(_ask(nightly, CONSENTS))
        fans.append(_ask(nightly, FANS))
    rebuilt.build(NIGHTS[-1], *EVERYTHING_BUT_QUEUES)

    assert differences(nightly.marts(), rebuilt.marts()) == ""
    assert said[0] == [
        ("u1", "unknown", "unknown"), ("u2", "unknown", "granted"),
        ("u3", "unknown", "unknown"), ("u4", "unknown", "unknown"),
    ]  # fmt: skip
    assert said[1] == [
        ("u1", "granted", "unknown"), ("u2", "unknown", "granted"),
        ("u3", "unknown", "granted"), ("u4", "unknown", "unknown"),
    ]  # fmt: skip
    # A review was taken back, and one went with its order to another buyer.
    assert fans == [[("u1",), ("u2",)], [("u3",)]]

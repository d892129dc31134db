"""What stands in a pushed row, and how it becomes a record."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.records import RawRecord, Window
from regulars.sandbox.platforms.taobao_push import PushDatabase
from regulars.sources import open_source, source_names
from regulars.sources.taobao_rds import TaobaoRds
from regulars.sources.taobao_rds.client import PushedRow
from regulars.sources.taobao_rds.members import UNREAD_OF_ORDER, UNREAD_OF_REFUND, UNREAD_OF_TRADE
from regulars.sources.taobao_rds.payload import ORDERS, PAYLOADS, REFUNDS
from regulars.sources.taobao_rds.streams import STREAMS, Trimming, read_window
from tests.landing.conftest import FixedClock
from tests.servers import shared_push_database  # noqa: F401
from tests.sources.gateway import trade
from tests.sources.push import (
    NOON,
    SELLER,
    client_of,
    push_refunds,
    push_trades,
    refund_row,
    run_sql,
    trade_row,
    wrapped,
    wrapped_refund,
)
from tests.sources.shops import demo_shop

WINDOW = Window(datetime(2017, 9, 30, 16, 0, tzinfo=UTC), datetime(2017, 10, 1, 16, 0, tzinfo=UTC))


class Rows:
    """A client that gives some rows and remembers what was asked for."""

    def __init__(self, *responses: str | bytes | None) -> None:
        self.responses = responses
        self.asked: list[tuple[str, str, str]] = []

    def rows(self, table: Any, start: str, end: str) -> Any:
        self.asked.append((table.name, start, end))
        for number, response in enumerate(self.responses, start=1):
            body = response.encode() if isinstance(response, str) else response
            yield PushedRow(str(number), NOON, body)


def read(*responses: str | bytes | None, stream: str = "orders") -> list[RawRecord]:
    client: Any = Rows(*responses)
    return list(read_window(client, STREAMS[stream], WINDOW))


def read_one(response: str, stream: str = "orders") -> RawRecord:
    (record,) = read(response, stream=stream)
    return record


def test_the_window_is_asked_in_the_platforms_zone() -> None:
    client: Any = Rows()
    list(read_window(client, STREAMS["refunds"], WINDOW))
    assert client.asked == [("jdp_tb_refund", "2017-10-01 00:00:00", "2017-10-02 00:00:00")]


def test_the_double_wrapped_lines_are_unwrapped() -> None:
    record = read_one(wrapped(trade(1)))
    assert [line["num"] for line in record.payload["orders"]] == [2]
    assert record.payload["jdp_modified"] == NOON
    assert record.position == f"tid 1, pushed {NOON}"
    checked = ORDERS.check(record.payload)
    assert (checked.reasons, checked.unknown, checked.unknown_nested) == ([], {}, [])


@pytest.mark.parametrize(
    "orders", [[{"oid": 5, "num": 1, "payment": "1.00"}], [], {}, {"order": []}]
)
def test_other_spellings_of_a_list_are_understood(orders: Any) -> None:
    payload = read_one(wrapped(trade(1, orders=orders))).payload
    lines = orders if isinstance(orders, list) else []
    assert payload["orders"] == lines


def test_what_the_platform_documents_and_nobody_reads_does_not_land() -> None:
    whole = trade(1, sid="1", alipay_no="2017", seller_mobile="12900000000", promotion_details={})
    whole["orders"]["order"][0] |= {"snapshot_url": "d:1_1", "buyer_rate": False}
    checked = ORDERS.check(read_one(wrapped(whole)).payload)
    assert (checked.unknown, checked.unknown_nested) == ({}, [])
    assert "12900000000" not in json.dumps(checked.values)


def test_what_nobody_has_documented_lands_and_is_counted() -> None:
    whole = trade(1, brand_new={"a": 1})
    whole["orders"]["order"][0]["shiny"] = "x"
    checked = ORDERS.check(read_one(wrapped(whole)).payload)
    assert checked.reasons == []
    assert checked.unknown == {"brand_new": {"a": 1}}
    assert checked.unknown_nested == ["orders.shiny"]


def test_no_read_member_is_left_out() -> None:
    lines = next(item for item in ORDERS.fields if item.members).members
    assert not ORDERS.names & UNREAD_OF_TRADE
    assert not {item.name for item in lines} & UNREAD_OF_ORDER
    assert not REFUNDS.names & UNREAD_OF_REFUND


def test_a_buyer_without_an_id_lands_too() -> None:
    record = trade(1)
    del record["buyer_open_uid"]
    assert ORDERS.check(read_one(wrapped(record)).payload).reasons == []


@pytest.mark.parametrize("missing", ["tid", "status", "created", "modified", "payment", "orders"])
def test_a_required_member_that_vanished_is_named(missing: str) -> None:
    record = trade(1)
    del record[missing]
    assert ORDERS.check(read_one(wrapped(record)).payload).reasons == [
        f"{missing}: required, but missing"
    ]


def test_ids_keep_all_their_digits() -> None:
    text = wrapped(trade(1)).replace("9007199254740993001", "9223372036854775807")
    assert ORDERS.check(read_one(text).payload).values["tid"] == "9223372036854775807"


def test_emoji_and_chinese_come_through_every_text() -> None:
    record = trade(1, receiver_state="上海🏙", receiver_city="𠮷野", type="类型😀")
    record["orders"]["order"][0]["title"] = "绿茶 🍵"
    values = ORDERS.check(read_one(wrapped(record)).payload).values
    assert (values["receiver_state"], values["receiver_city"]) == ("上海🏙", "𠮷野")
    assert values["orders"][0]["title"] == "绿茶 🍵"


@pytest.mark.parametrize(
    ("response", "defect"),
    [
        (None, "jdp_response is empty"),
        ("", "jdp_response is empty"),
        (wrapped(trade(1))[:200], "jdp_response is not complete JSON"),
        (b"\xff\xfe{}", "jdp_response is not complete JSON"),
        ("[]", "jdp_response holds no trade_fullinfo_get_response.trade"),
        ("{}", "jdp_response holds no trade_fullinfo_get_response.trade"),
        (
            '{"trade_fullinfo_get_response": []}',
            "jdp_response holds no trade_fullinfo_get_response.trade",
        ),
        (wrapped_refund({}), "jdp_response holds no trade_fullinfo_get_response.trade"),
    ],
)
def test_a_broken_row_is_named_for_good_and_the_others_come(response: Any, defect: str) -> None:
    broken, good = read(response, wrapped(trade(1)))
    assert (broken.defect, broken.is_final) == (defect, True)
    assert broken.payload["tid"] == "1"
    assert good.defect is None


def test_a_layout_is_trimmed_whatever_the_order_of_its_members() -> None:
    trimming = Trimming(frozenset({"b", "d"}))
    for record in ({"a": 1, "b": 2, "c": 3}, {"b": 2, "a": 1}, {"d": 1}, {}, {"b": 0, "a": 9}):
        wanted = {name: value for name, value in record.items() if name not in ("b", "d")}
        trimming.trim(record)
        assert record == wanted


def test_an_order_of_ten_thousand_lines_is_one_record(
    shared_push_database: PushDatabase,  # noqa: F811
) -> None:
    line = trade(1)["orders"]["order"][0]
    lines = [{**line, "oid": 10**17 + number} for number in range(10_000)]
    push_trades(shared_push_database, [trade_row(1, wrapped(trade(1, orders={"order": lines})))])
    with closing(client_of(shared_push_database)) as client:
        (record,) = read_window(client, STREAMS["orders"], WINDOW)
    run_sql(shared_push_database, "delete from jdp_tb_trade")
    assert len(ORDERS.check(record.payload).values["orders"]) == 10_000


def test_refunds_have_a_table_of_their_own(
    shared_push_database: PushDatabase,  # noqa: F811
) -> None:
    refund = {
        "refund_id": "700",
        "tid": 1,
        "oid": 1,
        "refund_fee": "1.00",
        "status": "SUCCESS",
        "created": NOON,
        "modified": NOON,
        "desc": "破了",
        "buyer_nick": "s**9",
    }
    push_refunds(shared_push_database, [refund_row(700, wrapped_refund(refund))])
    with closing(client_of(shared_push_database)) as client:
        (record,) = read_window(client, STREAMS["refunds"], WINDOW)
    checked = REFUNDS.check(record.payload)
    assert (checked.reasons, checked.unknown) == ([], {})
    assert "desc" not in record.payload


def test_the_source_is_found_by_its_folder(
    shared_push_database: PushDatabase,  # noqa: F811
) -> None:
    assert "taobao_rds" in source_names()
    database = shared_push_database
    shop = demo_shop(source="taobao_rds", margin_minutes=10)
    credentials = Credentials(
        "shop",
        host=f"{database.host}:{database.port}",
        login=database.user,
        password=database.password,
        extra={"database": database.name, "seller_nick": SELLER},
    )
    opened = open_source(shop, credentials, FixedClock(WINDOW.end))
    assert isinstance(opened, TaobaoRds)
    assert opened.streams() == ("orders", "refunds")
    assert opened.payload_model("refunds") is PAYLOADS["refunds"]
    overlap, day = opened.windows(shop, "orders", WINDOW)
    assert overlap.start == WINDOW.start - timedelta(minutes=60)
    assert day.end == WINDOW.end - timedelta(minutes=10)
    assert list(opened.iter_records(shop, "orders", day)) == []
    opened.close()

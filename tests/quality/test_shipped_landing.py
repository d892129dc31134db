"""What the shipped expectations of gate 1 let pass and what they stop."""

import json

import pytest

from regulars.quality.gate import validate_landing
from regulars.settings import PROJECT_ROOT, Settings
from regulars.sources import raw_streams
from regulars.sources.taobao_top import OPTIONAL_STREAMS


def trades(count, *, buyers, payment="10.00"):
    return [
        {
            "_line": number,
            "tid": str(number),
            "buyer_open_uid": f"AAH{number % buyers}",
            "created": "2017-10-01 08:00:00",
            "modified": "2017-10-01 09:00:00",
            "payment": payment,
        }
        for number in range(1, count + 1)
    ]


def orders(count, paid_amount):
    return [
        {"_line": number, "order_id": str(number), "paid_amount": paid_amount}
        for number in range(1, count + 1)
    ]


def critical(tmp_path, table, records):
    path = tmp_path / "batch.ndjson"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    verdict = validate_landing(Settings(data_dir=tmp_path), {table: [path]})
    assert verdict.checked
    return [finding.notes for finding in verdict.critical]


def rows(count, **columns):
    """Records with these columns; a callable gives the value of a record's number."""
    return [
        {
            "_line": number,
            **{name: one(number) if callable(one) else one for name, one in columns.items()},
        }
        for number in range(1, count + 1)
    ]


def jd_orders(count=150, **changes):
    return rows(
        count,
        **{
            "orderId": str,
            "open_id_buyer": lambda number: f"o*{number % 40}",
            "orderPayment": "12.30",
            "orderTotalPrice": "12.30",
            "orderStartTime": "2017-10-01 08:00:00",
            "modified": "2017-10-01 09:00:00",
            **changes,
        },
    )


def pdd_orders(count=150, **changes):
    return rows(
        count,
        **{
            "order_sn": str,
            "pay_amount": "12.3",
            "created_time": "2017-10-01 08:00:00",
            "updated_at": "2017-10-01 09:00:00",
            **changes,
        },
    )


def pdd_refunds(count=150, **changes):
    times = {"created_time": "2017-10-01 08:00:00", "updated_time": "2017-10-01 09:00:00"}
    return rows(count, **{"id": str, "refund_amount": "12.3", **times, **changes})


def doudian_orders(count=150, **changes):
    return rows(
        count,
        **{
            "order_id": str,
            "doudian_open_id": lambda number: f"1@#{number % 40}",
            "pay_amount": "1230",
            "create_time": "1506816000",
            "update_time": "1506819600",
            **changes,
        },
    )


def doudian_refunds(count=150, **changes):
    known = {"aftersale_id": str, "refund_amount": "1230", "update_time": "1506819600"}
    return rows(count, **{**known, **changes})


def shopify_orders(count=150, **changes):
    return rows(
        count,
        **{
            "legacy_resource_id": str,
            "customer_legacy_resource_id": lambda number: str(number % 40),
            "original_total_price_set": "12.30",
            "currency_code": "EUR",
            "created_at": "2017-10-01T08:00:00Z",
            "updated_at": "2017-10-01T09:00:00Z",
            **changes,
        },
    )


def shopify_refunds(count=150, **changes):
    times = {"processed_at": "2017-10-01T08:00:00Z", "updated_at": "2017-10-01T09:00:00Z"}
    return rows(count, **{"total_refunded_set": "12.30", **times, **changes})


def jd_refunds(count=150, **changes):
    return rows(count, **{"serviceId": str, "status": "13", "refoundAmount": "5.00", **changes})


def exported(amount, **more):
    def records(count=150, **changes):
        return rows(count, **{"order_id": str, amount: "12.30", **more, **changes})

    return records


TABLES = {
    "jd_jos__orders": jd_orders,
    "jd_jos__refunds": jd_refunds,
    "pdd_open__orders": pdd_orders,
    "pdd_open__refunds": pdd_refunds,
    "doudian_open__orders": doudian_orders,
    "doudian_open__refunds": doudian_refunds,
    "shopify_admin__orders": shopify_orders,
    "shopify_admin__refunds": shopify_refunds,
    "exports__taobao_orders": exported("paid_amount"),
    "exports__taobao_order_details": exported("price"),
    "exports__taobao_refunds": exported("refund_amount"),
    "exports__jd_orders": exported("payable_amount", buyer_account="jd_a"),
    "exports__pdd_orders": exported("paid_amount"),
    "exports__douyin_orders": exported("payable_amount"),
}


def test_every_stream_of_a_platform_has_expectations():
    for source in ("taobao_top", "jd_jos", "pdd_open", "doudian_open", "shopify_admin", "exports"):
        optional = OPTIONAL_STREAMS if source == "taobao_top" else ()
        for stream in raw_streams(source):
            path = PROJECT_ROOT / "expectations" / "landing" / f"{source}__{stream}.yml"
            assert path.exists() or stream in optional, path


@pytest.mark.parametrize("table", TABLES)
def test_an_ordinary_day_of_a_platform_passes(tmp_path, table):
    changes = {"buyer_account": lambda n: f"jd_{n}"} if table == "exports__jd_orders" else {}
    assert critical(tmp_path, table, TABLES[table](**changes)) == []


@pytest.mark.parametrize("table", [name for name in TABLES if name != "jd_jos__refunds"])
def test_a_hundred_records_without_one_amount_stop_the_night(tmp_path, table):
    column = {
        "jd_jos__orders": "orderPayment",
        "pdd_open__orders": "pay_amount",
        "doudian_open__orders": "pay_amount",
        "shopify_admin__orders": "original_total_price_set",
        "shopify_admin__refunds": "total_refunded_set",
        "exports__taobao_orders": "paid_amount",
        "exports__taobao_order_details": "price",
        "exports__pdd_orders": "paid_amount",
        "exports__jd_orders": "payable_amount",
        "exports__douyin_orders": "payable_amount",
    }.get(table, "refund_amount")
    more = {"buyer_account": lambda n: f"jd_{n}"} if table == "exports__jd_orders" else {}
    for count, stops in ((99, False), (100, True)):
        found = critical(tmp_path, table, TABLES[table](count, **{column: "0", **more}))
        assert bool(found) is stops
        assert all("not one amount" in note for note in found)


def test_successful_jd_refunds_without_one_amount_stop_the_night(tmp_path):
    assert critical(tmp_path, "jd_jos__refunds", jd_refunds(refoundAmount=None)) != []
    open_ones = jd_refunds(refoundAmount=None, status="10")
    assert critical(tmp_path, "jd_jos__refunds", open_ones) == []
    known = jd_refunds(refoundAmount=None, maxRefundAmount="1.00")
    assert critical(tmp_path, "jd_jos__refunds", known) == []


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("jd_jos__orders", "orderTotalPrice"),
        ("pdd_open__orders", "pay_amount"),
        ("pdd_open__refunds", "refund_amount"),
        ("exports__taobao_orders", "paid_amount"),
        ("exports__douyin_orders", "payable_amount"),
    ],
)
def test_fen_where_yuan_belong_stop_the_night(tmp_path, table, column):
    for amount, stops in (("1230", True), ("1230.00", False), ("999", False)):
        found = critical(tmp_path, table, TABLES[table](**{column: amount}))
        assert bool(found) is stops, amount


@pytest.mark.parametrize(
    ("table", "column"),
    [("doudian_open__orders", "pay_amount"), ("doudian_open__refunds", "refund_amount")],
)
def test_yuan_where_fen_belong_stop_the_night(tmp_path, table, column):
    for amount, stops in (("12", True), ("99", True), ("100", False)):
        found = critical(tmp_path, table, TABLES[table](**{column: amount}))
        assert bool(found) is stops, amount


@pytest.mark.parametrize("table", ["doudian_open__orders", "doudian_open__refunds"])
def test_times_in_milliseconds_stop_the_night(tmp_path, table):
    found = critical(tmp_path, table, TABLES[table](update_time="1506819600000"))
    assert ["no unix seconds" in note for note in found] == [True]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("jd_jos__orders", "open_id_buyer"),
        ("doudian_open__orders", "doudian_open_id"),
        ("shopify_admin__orders", "customer_legacy_resource_id"),
        ("exports__jd_orders", "buyer_account"),
    ],
)
def test_orders_of_next_to_no_buyer_stop_the_night_on_every_platform(tmp_path, table, column):
    found = critical(tmp_path, table, TABLES[table](**{column: "the same"}))
    assert ["masks the buyer" in note for note in found] == [True]
    two = TABLES[table](**{column: lambda number: f"b{number % 2}"})
    assert critical(tmp_path, table, two) == []
    # Without a buyer at all they are sales of nobody: said, not stopped.
    assert critical(tmp_path, table, TABLES[table](**{column: None})) == []


def test_an_order_without_a_currency_stops_the_night(tmp_path):
    found = critical(tmp_path, "shopify_admin__orders", shopify_orders(3, currency_code="EURO"))
    assert ["without a currency" in note for note in found] == [True]


@pytest.mark.parametrize(
    ("buyers", "stops"),
    # One buyer for a hundred trades is a wholesaler; one for a hundred and one is a mask.
    [(40, False), (2, False), (1, True)],
)
def test_trades_of_next_to_no_buyer_stop_the_night(tmp_path, buyers, stops):
    found = critical(tmp_path, "taobao_top__orders", trades(150, buyers=buyers))
    assert [note for note in found if "masks the buyer" in note] == found
    assert bool(found) is stops


def test_a_small_shops_single_buyer_is_no_mask(tmp_path):
    assert critical(tmp_path, "taobao_top__orders", trades(99, buyers=1)) == []


@pytest.mark.parametrize(("amount", "stops"), [("0.00", True), ("0.01", False), ("moved", True)])
def test_trades_without_one_amount_stop_the_night(tmp_path, amount, stops):
    found = critical(tmp_path, "taobao_top__orders", trades(100, buyers=50, payment=amount))
    assert bool(found) is stops


@pytest.mark.parametrize(
    ("count", "amount", "stops"),
    [(100, "0", True), (99, "0", False), (100, "0.01", False)],
)
def test_dropped_orders_without_one_amount_stop_the_night(tmp_path, count, amount, stops):
    assert bool(critical(tmp_path, "file__orders", orders(count, amount))) is stops

"""File drops: what stands in them, and that the same range gives the same bytes."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from regulars.sandbox import __main__ as commands
from regulars.sandbox.book import DEFAULT_CACHE, OrderBook, day_start
from regulars.sandbox.export import (
    EVENT_STREAMS,
    HISTORY_STREAMS,
    DroppedFile,
    export_events,
    export_history,
)
from regulars.sandbox.journey import Purchases
from regulars.sandbox.merchant import Merchant
from regulars.sandbox.platforms import cancels_whole_orders
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.shop import SandboxShop
from regulars.sandbox.timeline import DAY, Outcome, RefundStatus
from regulars.sandbox.wire import wall_texts
from regulars.settings import Settings
from tests.sandbox.calls import FULL, REFUND, ask

Row = dict[str, str | None]
CUT = date(2017, 10, 1)


def _rows(file: DroppedFile) -> list[Row]:
    if file.path.suffix == ".parquet":
        table = pq.read_table(file.path)
        assert {field.type for field in table.schema} == {pa.string()}
        rows: list[Row] = table.to_pylist()
        return rows
    with file.path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _by_stream(files: list[DroppedFile]) -> dict[str, list[Row]]:
    rows = {file.stream: _rows(file) for file in files}
    assert all(file.row_count == len(rows[file.stream]) for file in files)
    return rows


def _sha256(files: list[DroppedFile]) -> dict[str, str]:
    return {file.stream: hashlib.sha256(file.path.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def whole_drop(
    tmp_path_factory: pytest.TempPathFactory, whole_book: OrderBook
) -> list[DroppedFile]:
    return export_history(tmp_path_factory.mktemp("inbox"), "demo_grocer", whole_book, CUT)


@pytest.fixture(scope="module")
def small_drop(
    tmp_path_factory: pytest.TempPathFactory, small_book: OrderBook
) -> dict[str, list[Row]]:
    folder = tmp_path_factory.mktemp("inbox")
    streams = ("orders", "order_lines", "refunds")
    return _by_stream(export_history(folder, "demo_grocer", small_book, CUT, streams))


@pytest.mark.slow
def test_the_history_has_every_stream_and_the_known_counts(whole_drop: list[DroppedFile]) -> None:
    counts = {file.stream: file.row_count for file in whole_drop}
    assert counts.keys() == set(HISTORY_STREAMS)
    assert counts["orders"] == 116_769
    assert counts["order_lines"] == 1_095_564
    assert counts["members"] == 2_469
    assert counts["products"] == 92_348
    assert counts["campaigns"] == 19
    assert counts["sends"] == 4_168
    assert counts["coupon_events"] == 1_232


@pytest.mark.slow
def test_files_lie_where_the_contract_says(whole_drop: list[DroppedFile]) -> None:
    for file in whole_drop:
        assert file.path.parent.name == file.stream
        assert file.path.parent.parent.name == "demo_grocer"
        assert [entry.name for entry in file.path.parent.iterdir()] == [file.path.name]
        expected = ".parquet" if file.stream in ("orders", "order_lines") else ".csv"
        assert file.path.suffix == expected


@pytest.mark.slow
def test_history_amounts_add_up_to_the_book(
    whole_drop: list[DroppedFile], whole_book: OrderBook
) -> None:
    paid = {
        file.stream: pq.read_table(file.path, columns=["paid_amount"]).column(0)
        for file in whole_drop
        if file.path.suffix == ".parquet"
    }
    history = whole_book.created < day_start(CUT)
    expected = int(whole_book.trade_paid[history].sum())
    for amounts in paid.values():
        decimals = amounts.cast(pa.decimal128(18, 2)).cast(pa.float64()).to_numpy()
        assert int(np.rint(decimals * 100).astype(np.int64).sum()) == expected


def test_an_order_is_the_trade_that_the_interface_shows(
    small_drop: dict[str, list[Row]], small_book: OrderBook
) -> None:
    shop = SandboxShop(
        small_book,
        TEST_ACCESS,
        now=datetime(2017, 9, 30, 23, 59, 59, tzinfo=PLATFORM_ZONE),
        machine_seconds=None,
    )
    lines: dict[str | None, list[Row]] = {}
    for line in small_drop["order_lines"]:
        lines.setdefault(line["order_id"], []).append(line)
    names = {
        "WAIT_BUYER_PAY": "created",
        "WAIT_SELLER_SEND_GOODS": "paid",
        "WAIT_BUYER_CONFIRM_GOODS": "shipped",
        "TRADE_FINISHED": "finished",
        "TRADE_CLOSED": "closed",
        "TRADE_CLOSED_BY_TAOBAO": "closed",
    }
    fields = (
        "tid,status,created,modified,pay_time,consign_time,sign_time,end_time,payment,total_fee,"
        "discount_fee,post_fee,buyer_nick,orders"
    )
    seen = Counter[str]()
    for order in small_drop["orders"][::7] + small_drop["orders"][-40:]:
        trade = ask(shop, FULL, fields=fields, tid=order["order_id"])["trade"]
        status = names[trade["status"]]
        if status == "shipped" and "sign_time" in trade:
            status = "signed"
        seen[status] += 1
        ended = trade.get("end_time")
        assert order == {
            "order_id": str(trade["tid"]),
            "buyer_id": trade["buyer_open_uid"],
            "status": status,
            "created_at": trade["created"],
            "paid_at": trade.get("pay_time"),
            "shipped_at": trade.get("consign_time"),
            "signed_at": trade.get("sign_time"),
            "finished_at": ended if status == "finished" else None,
            "closed_at": ended if status == "closed" else None,
            "modified_at": trade["modified"],
            "currency": "CNY",
            "goods_amount": trade["total_fee"],
            "discount_amount": trade["discount_fee"],
            "shipping_amount": trade["post_fee"],
            "paid_amount": trade["payment"],
            "store_id": order["store_id"],
            "is_test": "false",
        }
        for position, (line, own) in enumerate(
            zip(lines[order["order_id"]], trade["orders"]["order"], strict=True), start=1
        ):
            discount = float(own["discount_fee"]) + float(own.get("part_mjz_discount", "0"))
            assert line == {
                "order_id": str(trade["tid"]),
                "line_no": str(position),
                "line_id": str(own["oid"]),
                "product_id": str(own["num_iid"]),
                "sku_id": own["sku_id"],
                "title": own["title"],
                "quantity": str(own["num"]),
                "goods_amount": own["total_fee"],
                "discount_amount": f"{discount:.2f}",
                "paid_amount": own["divide_order_fee"],
                "modified_at": trade["modified"],
            }
    assert seen.keys() >= {"paid", "shipped", "signed", "finished", "closed"}


def test_a_refund_is_the_one_that_the_interface_shows(
    small_drop: dict[str, list[Row]], small_book: OrderBook
) -> None:
    shop = SandboxShop(
        small_book,
        TEST_ACCESS,
        now=datetime(2017, 9, 30, 23, 59, 59, tzinfo=PLATFORM_ZONE),
        machine_seconds=None,
    )
    names = {
        "WAIT_SELLER_AGREE": "requested",
        "WAIT_BUYER_RETURN_GOODS": "agreed",
        "SELLER_REFUSE_BUYER": "refused",
        "SUCCESS": "succeeded",
        "CLOSED": "cancelled",
    }
    fields = "refund_id,tid,oid,buyer_open_uid,status,created,modified,refund_fee,reason"
    assert len(small_drop["refunds"]) > 100
    for row in small_drop["refunds"]:
        refund = ask(shop, REFUND, fields=f"{fields},has_good_return", refund_id=row["refund_id"])[
            "refund"
        ]
        succeeded = refund["status"] == "SUCCESS"
        assert row == {
            "refund_id": refund["refund_id"],
            "order_id": str(refund["tid"]),
            "line_id": str(refund["oid"]),
            "buyer_id": refund["buyer_open_uid"],
            "status": names[refund["status"]],
            "created_at": refund["created"],
            "refunded_at": refund["modified"] if succeeded else "",
            "modified_at": refund["modified"],
            "refund_amount": refund["refund_fee"],
            "reason": refund["reason"],
            "is_return_goods": json.dumps(refund["has_good_return"]),
        }


@pytest.mark.slow
def test_members_consent_mostly_and_three_pairs_share_a_phone(
    whole_drop: list[DroppedFile],
) -> None:
    (members,) = (_rows(file) for file in whole_drop if file.stream == "members")
    count = len(members)
    consent = Counter(member["sms_consent"] for member in members)
    assert consent["granted"] / count == pytest.approx(0.89, abs=0.03)
    assert consent["refused"] / count == pytest.approx(0.04, abs=0.02)
    assert consent["unknown"] / count == pytest.approx(0.07, abs=0.02)
    phones = [member["phone"] for member in members if member["phone"]]
    assert 10 < count - len(phones) < 80
    assert all(len(phone) == 11 and phone.startswith("12") for phone in phones if phone)
    assert sum(uses == 2 for uses in Counter(phones).values()) == 3
    assert all(
        (member["email"] or "@example.invalid").endswith("@example.invalid") for member in members
    )
    assert 0 < sum(member["is_blacklisted"] == "true" for member in members) < 15
    assert sum(member["age_band"] != "" for member in members) == 801
    for member in members:
        assert (member["sms_consent_at"] == "") == (member["sms_consent"] == "unknown")
        assert max(member["sms_consent_at"] or "", member["modified_at"] or "") < "2017-10-01"


@pytest.mark.slow
def test_products_carry_department_and_category_and_no_invented_cost(
    whole_drop: list[DroppedFile],
) -> None:
    (products,) = (_rows(file) for file in whole_drop if file.stream == "products")
    assert len({product["product_id"] for product in products}) == len(products)
    assert len({product["product_group"] for product in products}) == 33
    assert {product["brand_name"] for product in products} == {"National", "Private", ""}
    assert not any(product["cost_amount"] or product["cycle_days"] for product in products)
    assert sum(not product["product_group"] for product in products) == 17


@pytest.mark.slow
def test_nothing_of_later_days_is_in_the_history(whole_drop: list[DroppedFile]) -> None:
    rows = _by_stream([file for file in whole_drop if file.path.suffix == ".csv"])
    assert max(row["started_on"] or "" for row in rows["campaigns"]) < "2017-10-01"
    assert max(row["sent_at"] or "" for row in rows["sends"]) < "2017-10-01"
    assert max(row["occurred_at"] or "" for row in rows["coupon_events"]) < "2017-10-01"
    assert max(row["modified_at"] or "" for row in rows["refunds"]) < "2017-10-01"
    started = {row["campaign_id"] for row in rows["campaigns"]}
    assert {row["campaign_id"] for row in rows["coupons"]} <= started


@pytest.mark.slow
def test_history_and_event_drops_together_are_the_whole_year(
    tmp_path: Path, whole_book: OrderBook, whole_drop: list[DroppedFile]
) -> None:
    later = export_events(tmp_path, "demo_grocer", whole_book, CUT, date(2018, 1, 1))
    assert [file.stream for file in later] == list(EVENT_STREAMS)
    first, second = _by_stream(whole_drop[3:]), _by_stream(later)
    ids = {
        "campaigns": ("campaign_id", 27),
        "sends": ("send_id", 6_589),
        "coupon_events": ("event_id", 2_102),
        "coupons": ("coupon_id", 1_197),
    }
    for stream, (name, total) in ids.items():
        every = [row[name] for row in first[stream] + second[stream]]
        assert len(set(every)) == len(every) == total
    # Whoever refuses later had granted at first, as far as anybody knew.
    before = {row["member_id"]: row for row in first["members"]}
    for row in second["members"]:
        assert (row["modified_at"] or "") >= "2017-10-01"
        assert "refused" in (row["sms_consent"], row["email_consent"])
        for name in ("sms_consent", "email_consent"):
            if row[name] == "refused" and (row[f"{name}_at"] or "") >= "2017-10-01":
                assert before[row["member_id"]][name] == "granted"
                assert before[row["member_id"]][f"{name}_at"] == row["enrolled_at"]
    assert len(second["members"]) > 20


def test_a_redemption_names_its_order_where_only_one_can_be_meant(
    tmp_path: Path, whole_book: OrderBook
) -> None:
    (file,) = export_events(
        tmp_path, "s", whole_book, date(2017, 1, 1), date(2018, 1, 1), ["coupon_events"]
    )
    book = whole_book
    sums = book.line_goods - book.line_item_discount - book.line_paid
    used = np.add.reduceat(sums, book.line_start[:-1]) + book.clamped > 0
    days = (book.created // DAY).tolist()
    candidates = Counter(
        (household, day)
        for household, day, coupon in zip(book.household.tolist(), days, used.tolist(), strict=True)
        if coupon
    )
    events = _rows(file)
    named = [event for event in events if event["order_id"]]
    assert (len(events), len(named)) == (2_102, 1_889)
    for event in named:
        trade = book.find_trade(int(event["order_id"] or 0))
        assert trade is not None
        assert used[trade]
        assert candidates[int(book.household[trade]), days[trade]] == 1
        assert event["occurred_at"] == wall_texts(book.created[[trade]])[0]
    unnamed = [event["occurred_at"] or "" for event in events if not event["order_id"]]
    assert all(moment.endswith(" 12:00:00") for moment in unnamed)


def test_the_midnight_of_the_cut_belongs_to_the_next_drop(tmp_path: Path) -> None:
    midnight = day_start(CUT)
    rows = {name: np.ones(2, dtype=np.int64) for name in ("household", "store", "quantity")}
    rows |= {name: np.zeros(2, dtype=np.int64) for name in ("coupon_discount", "match_discount")}
    book = OrderBook.build(
        Purchases.ordered(
            **rows,
            basket=np.array([7_000_000_001, 7_000_000_002]),
            product=np.array([5, 5]),
            created=np.array([midnight - 1, midnight]),
            sales=np.array([100, 100]),
            retail_discount=np.array([0, 0]),
        )
    )
    (history,) = export_history(tmp_path, "s", book, CUT, ["orders"])
    (later,) = export_events(tmp_path, "s", book, CUT, date(2017, 10, 2), ["orders"])
    assert [row["order_id"] for row in _rows(history)] == [str(book.tid[0])]
    assert [row["created_at"] for row in _rows(history)] == ["2017-09-30 23:59:59"]
    assert {row["order_id"] for row in _rows(later)} == {str(tid) for tid in book.tid.tolist()}


@pytest.mark.slow
def test_the_same_range_gives_the_same_bytes(
    tmp_path: Path, small_book: OrderBook, whole_drop: list[DroppedFile]
) -> None:
    def dropped(name: str, until: date, streams: Sequence[str]) -> list[DroppedFile]:
        return export_history(tmp_path / name, "s", small_book, until, streams)

    streams = [stream for stream in HISTORY_STREAMS if stream != "products"]
    first, again = (dropped(name, CUT, streams) for name in ("a", "b"))
    assert _sha256(first) == _sha256(again)
    assert [file.path.name for file in first] == [file.path.name for file in again]
    other = _sha256(dropped("c", date(2017, 9, 1), ["orders", "refunds"]))
    assert all(digest != _sha256(first)[stream] for stream, digest in other.items())
    products = _sha256(dropped("a", CUT, ["products"]))
    assert products["products"] == _sha256(whole_drop)["products"]
    days = (date(2017, 10, 4), date(2017, 10, 5))
    events = [
        _sha256(export_events(tmp_path / name, "s", small_book, *days)) for name in ("d", "e")
    ]
    assert events[0] == events[1]
    assert events[0].keys() == {"campaigns", "sends", "coupons", "platform_totals"}


def test_a_day_without_events_drops_the_platforms_report_only(
    tmp_path: Path, small_book: OrderBook
) -> None:
    (file,) = export_events(tmp_path, "s", small_book, date(2017, 6, 4), date(2017, 6, 5))
    assert (file.stream, file.row_count) == ("platform_totals", 1)


def test_the_platforms_report_counts_each_day_as_the_book_does(
    tmp_path: Path, small_book: OrderBook
) -> None:
    days = (date(2017, 10, 1), date(2017, 11, 1))
    export_events(tmp_path, "s", small_book, *days, streams=["platform_totals"])
    (path,) = (tmp_path / "s" / "platform_totals").iterdir()
    rows = {row["date"]: row for row in csv.DictReader(path.open(encoding="utf-8"))}
    assert len(rows) == 31
    for number in range(31):
        day = date(2017, 10, 1 + number)
        start, end = day_start(day), day_start(day) + 86_400
        paid = [
            trade
            for trade in range(small_book.trade_count)
            if start <= int(small_book.paid[trade]) < end
        ]
        refunds = [
            row
            for row in range(len(small_book.refund_line))
            if start <= int(small_book.refund_ended[row]) < end
            and int(small_book.refund_ended_status[row]) == RefundStatus.SUCCESS
        ]
        cents = sum(int(small_book.trade_paid[trade]) for trade in paid)
        back = sum(int(small_book.refund_fee[row]) for row in refunds)
        row = rows[day.isoformat()]
        assert row["created_order_count"] == str(
            sum(start <= int(created) < end for created in small_book.created)
        )
        assert (row["paid_order_count"], row["refund_count"]) == (str(len(paid)), str(len(refunds)))
        assert Decimal(row["paid_amount"]) * 100 == cents
        assert Decimal(row["refund_amount"]) * 100 == back


@pytest.mark.parametrize("source", ["jd_jos", "pdd_open"])
def test_a_cancelled_order_is_one_refund_where_the_platform_pays_it_back_at_once(
    tmp_path: Path, whole_book: OrderBook, source: str
) -> None:
    day = date(2017, 10, 3)
    export_events(
        tmp_path, "s", whole_book, day, date(2017, 10, 4), ["platform_totals"],
        cancels_whole_orders=cancels_whole_orders(source),
    )  # fmt: skip
    (path,) = (tmp_path / "s" / "platform_totals").iterdir()
    (row,) = csv.DictReader(path.open(encoding="utf-8"))
    ended = (whole_book.refund_ended >= day_start(day)) & (
        whole_book.refund_ended < day_start(day) + DAY
    )
    ended &= whole_book.refund_ended_status == RefundStatus.SUCCESS
    orders = whole_book.refund_trade[ended]
    cancelled = whole_book.outcome[orders] == Outcome.CLOSED
    whole = len(set(orders[cancelled].tolist()))
    assert 0 < whole < cancelled.sum()
    lines = int((~cancelled).sum())
    assert row["refund_count"] == str(lines + (whole if source == "jd_jos" else cancelled.sum()))
    back = int(whole_book.refund_fee[ended].sum())
    assert Decimal(row["refund_amount"]) * 100 == back


def test_orders_of_a_few_days_can_be_dropped_too(tmp_path: Path, small_book: OrderBook) -> None:
    days = (date(2017, 10, 1), date(2017, 10, 3))
    streams = ("orders", "order_lines", "refunds")
    dropped = _by_stream(export_events(tmp_path, "s", small_book, *days, streams))
    for stream in streams:
        moments = [row["modified_at"] or "" for row in dropped[stream]]
        assert "2017-10-01" <= min(moments) <= max(moments) < "2017-10-03"
    ordered = {row["order_id"] for row in dropped["orders"]}
    assert {row["order_id"] for row in dropped["order_lines"]} == ordered


def test_an_empty_shop_drops_its_products_and_campaigns_only(tmp_path: Path) -> None:
    files = export_history(tmp_path, "s", OrderBook.sample(households=0), CUT)
    assert {file.stream for file in files} == {"products", "campaigns", "coupons"}


def test_the_merchant_drops_each_day_once_even_after_a_restart(
    tmp_path: Path, small_book: OrderBook
) -> None:
    def merchant() -> Merchant:
        return Merchant(tmp_path / "inbox", "s", small_book, tmp_path / "memory" / "drops.json")

    first = merchant().drop_until(datetime(2017, 10, 5, 2, tzinfo=PLATFORM_ZONE))
    assert [file.stream for file in first[: len(HISTORY_STREAMS)]] == list(HISTORY_STREAMS)
    names = {file.path.name for file in first[len(HISTORY_STREAMS) :]}
    assert "sends-2017-10-01-until-2017-10-05.csv" in names
    assert merchant().drop_until(datetime(2017, 10, 5, 23, tzinfo=PLATFORM_ZONE)) == []
    later = merchant().drop_until(datetime(2017, 10, 19, 2, tzinfo=PLATFORM_ZONE))
    assert all("2017-10-05-until-2017-10-19" in file.path.name for file in later)


def test_the_command_line_drops_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OrderBook.load()
    (tmp_path / "sandbox").symlink_to(DEFAULT_CACHE)
    monkeypatch.setattr(commands, "current_settings", lambda: Settings(data_dir=tmp_path))
    days = ["--from", "2017-10-04", "--until", "2017-10-05"]
    result = CliRunner().invoke(commands.app, ["export", *days])
    assert result.exit_code == 0, result.output
    inbox = tmp_path / "inbox" / "demo_grocer"
    assert [path.name for path in (inbox / "sends").iterdir()] == [
        "sends-2017-10-04-until-2017-10-05.csv"
    ]
    assert "sends" in result.output

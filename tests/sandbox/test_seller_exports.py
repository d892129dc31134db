"""Exports of the sandbox's order book: what the files hold, as a seller's files would."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.platforms.exports import USUAL, Dress, export_orders
from regulars.sandbox.platforms.exports.layouts import LAYOUTS

Row = dict[str, str]
START, UNTIL = date(2017, 9, 1), date(2017, 10, 1)


def export(folder: Path, book: OrderBook, platform: str, dress: Dress) -> dict[str, list[Row]]:
    """The rows of each stream's file."""
    found = {}
    for file in export_orders(folder, "demo_grocer", book, platform, START, UNTIL, dress):
        assert file.path.parent == folder / "demo_grocer" / file.stream
        if file.path.suffix == ".xlsx":
            sheet = openpyxl.load_workbook(file.path, read_only=True).worksheets[0]
            header, *rows = sheet.iter_rows(values_only=True)
            found[file.stream] = [
                {str(name): str(cell or "") for name, cell in zip(header, row, strict=True)}
                for row in rows
            ]
        else:
            with file.path.open(encoding=dress.encoding, newline="") as lines:
                found[file.stream] = list(csv.DictReader(lines))
        assert file.row_count == len(found[file.stream])
    return found


def trades_of(book: OrderBook) -> np.ndarray:
    inside = (book.created >= day_start(START)) & (book.created < day_start(UNTIL))
    return np.flatnonzero(inside)


@pytest.mark.slow
def test_every_layout_has_its_own_files(tmp_path: Path, small_book: OrderBook) -> None:
    streams = {
        platform: set(export(tmp_path / platform, small_book, platform, USUAL[platform]))
        for platform in LAYOUTS
    }
    assert streams == {
        "taobao": {"taobao_orders", "taobao_order_details", "taobao_refunds"},
        "jd": {"jd_orders"},
        "pdd": {"pdd_orders"},
        "douyin": {"douyin_orders"},
    }


def test_taobao_cells_look_like_taobaos(tmp_path: Path, small_book: OrderBook) -> None:
    files = export(tmp_path, small_book, "taobao", USUAL["taobao"])
    orders = files["taobao_orders"]
    assert len(orders) == len(trades_of(small_book))
    assert {"收货地址 ", "订单付款时间 ", "宝贝标题 ", "物流单号 "} <= orders[0].keys()
    assert orders[0]["订单编号"] == f'="{small_book.tid[trades_of(small_book)[0]]}"'
    assert orders[0]["联系手机"].startswith("'*")
    assert orders[0]["打款商家金额"].endswith("元")
    assert {order["订单状态"] for order in orders} >= {"交易成功", "卖家已发货，等待买家确认"}
    closed = [order for order in orders if order["订单状态"] == "交易关闭"]
    assert {order["订单关闭原因"] for order in orders if order not in closed} == {"订单未关闭"}
    refunded = [order for order in closed if order["订单付款时间 "]]
    assert refunded
    for order in refunded:
        assert order["买家实际支付金额"] == "0.00"
        assert order["退款金额"] == order["总金额"]
    lines = files["taobao_order_details"]
    assert len(lines) == int(np.diff(small_book.line_start)[trades_of(small_book)].sum())


def test_jd_repeats_the_orders_money_on_each_row(tmp_path: Path, small_book: OrderBook) -> None:
    rows = export(tmp_path, small_book, "jd", USUAL["jd"])["jd_orders"]
    per_order: dict[str, set[str]] = {}
    for row in rows:
        per_order.setdefault(row["订单号"], set()).add(row["应付金额"])
    assert {len(amounts) for amounts in per_order.values()} == {1}
    assert len(rows) > len(per_order) == len(trades_of(small_book))


def test_pinduoduo_leaves_some_times_out(tmp_path: Path, small_book: OrderBook) -> None:
    rows = export(tmp_path, small_book, "pdd", USUAL["pdd"])["pdd_orders"]
    paid_without_time = [r for r in rows if not r["订单成交时间"] and r["发货时间"]]
    assert paid_without_time
    assert all(row["订单号"].startswith("1709") for row in rows)
    assert all(row["订单号"].endswith("\t") for row in rows)
    assert len({row["订单号"] for row in rows}) == len(rows)


def test_douyin_protects_whoever_bought(tmp_path: Path, small_book: OrderBook) -> None:
    rows = export(tmp_path, small_book, "douyin", USUAL["douyin"])["douyin_orders"]
    assert all(row["收件人手机号"].startswith("##") for row in rows)
    assert all(row["详细地址"].startswith("$$") for row in rows)
    assert all(row["主订单编号"].startswith("\t69") for row in rows)
    assert {row["售后状态"] for row in rows} == {"-", "退款成功"}
    assert sum(Decimal(row["订单应付金额"].replace(",", "")) for row in rows) == Decimal(
        int(small_book.trade_paid[trades_of(small_book)].sum())
    ) / Decimal(100)


@pytest.mark.parametrize("platform", LAYOUTS)
def test_a_day_without_orders_is_a_header(
    tmp_path: Path, small_book: OrderBook, platform: str
) -> None:
    day = date(2016, 5, 1)
    files = export_orders(tmp_path, "demo_grocer", small_book, platform, day, date(2016, 5, 2))
    assert [file.row_count for file in files] == [0] * len(files)
    assert all(file.path.stat().st_size for file in files)

"""The order book, exported as four platforms would, lands with its counts and sums."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from regulars.landing import LandingResult, read_batch
from regulars.night.inbox import land_inbox
from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.platforms.exports import USUAL, Dress, export_orders
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import Vault, open_vault
from tests.landing.conftest import DAY, KEY, FixedClock
from tests.sources.shops import demo_shop

START, UNTIL = date(2017, 9, 1), date(2017, 10, 1)
Records = dict[str, list[dict[str, Any]]]
Land = Callable[[Settings, Vault, str, Dress], Records]

DRESSES = st.builds(
    Dress,
    suffix=st.sampled_from(["csv", "csv", "csv", "xlsx"]),
    encoding=st.sampled_from(["gb18030", "utf-8", "utf-8-sig"]),
    wrapping=st.sampled_from(
        ["plain", "formula", "quotes", "apostrophe", "tab", "tab after", "point zero"]
    ),
    money=st.sampled_from([("", ""), ("¥", ""), ("￥", ""), ("", "元"), ("", "\t")]),
    has_thousands=st.booleans(),
    empty=st.sampled_from(["", "-", " "]),
    preamble=st.integers(0, 5),
    has_notes=st.booleans(),
)


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=25)


@pytest.fixture(scope="module")
def land(book: OrderBook) -> Land:
    def run(settings: Settings, vault: Vault, platform: str, dress: Dress) -> Records:
        shop = demo_shop(platform=platform)
        export_orders(settings.inbox_dir, shop.shop, book, platform, START, UNTIL, dress)
        result = _land(settings, shop, vault)
        return {batch.stream: list(read_batch(settings, batch)) for batch in result}

    return run


def _land(settings: Settings, shop: Shop, vault: Vault) -> LandingResult:
    result = land_inbox(settings, shop, vault, "night-1", DAY, lambda _: None, clock=FixedClock())
    assert result.failures == ()
    for batch in result:
        assert (batch.quarantined_count, batch.unknown_fields) == (0, {}), batch.quarantine_reasons
    return result


def trades_of(book: OrderBook) -> Any:
    inside = (book.created >= day_start(START)) & (book.created < day_start(UNTIL))
    return np.flatnonzero(inside)


def lines_of(book: OrderBook) -> Any:
    trades = trades_of(book)
    return np.concatenate([np.arange(*book.line_start[t : t + 2]) for t in trades.tolist()])


def fen(records: list[dict[str, Any]], name: str) -> int:
    return int(sum((Decimal(record[name]) for record in records), Decimal(0)) * 100)


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_taobao_reports_land_with_the_books_counts_and_sums(
    settings: Settings, vault: Vault, land: Land, book: OrderBook, suffix: Any
) -> None:
    dress = replace(USUAL["taobao"], suffix=suffix, is_layout_new=suffix == "xlsx")
    landed = land(settings, vault, "taobao", dress)
    orders, trades = landed["taobao_orders"], trades_of(book)
    # The very numbers that the platform's interface gives: one order, however it comes.
    assert [int(order["order_id"]) for order in orders] == book.tid[trades].tolist()
    assert fen(orders, "total_amount") == int(book.trade_paid[trades].sum())
    assert fen(orders, "goods_amount") == int(book.trade_goods[trades].sum())
    paid = [order for order in orders if "paid_at" in order]
    assert len(paid) == int((book.paid[trades] < day_start(UNTIL)).sum())
    assert fen(paid, "paid_amount") + fen(paid, "refund_amount") == fen(paid, "total_amount")
    lines = landed["taobao_order_details"]
    assert len(lines) == len(lines_of(book))
    assert fen(lines, "quantity") == 100 * int(book.line_quantity[lines_of(book)].sum())
    asked = (book.refund_requested < day_start(UNTIL)) & np.isin(book.refund_trade, trades)
    refunds = landed["taobao_refunds"]
    assert len(refunds) == int(asked.sum()) > 0
    assert {int(one["refund_id"]) for one in refunds} == set(book.refund_id[asked].tolist())
    assert fen(refunds, "refund_amount") == int(book.refund_fee[asked].sum())


def test_jd_orders_land_with_the_books_counts_and_sums(
    settings: Settings, vault: Vault, land: Land, book: OrderBook
) -> None:
    rows = land(settings, vault, "jd", USUAL["jd"])["jd_orders"]
    assert len(rows) == len(lines_of(book))
    once = list({row["order_id"]: row for row in rows}.values())
    assert len(once) == len(trades_of(book))
    assert fen(once, "payable_amount") == int(book.trade_paid[trades_of(book)].sum())


@pytest.mark.parametrize(
    ("platform", "amount"), [("pdd", "paid_amount"), ("douyin", "payable_amount")]
)
def test_rows_that_are_lines_land_with_the_books_counts_and_sums(
    settings: Settings, vault: Vault, land: Land, book: OrderBook, platform: str, amount: str
) -> None:
    rows = land(settings, vault, platform, USUAL[platform])[f"{platform}_orders"]
    assert len(rows) == len(lines_of(book))
    assert fen(rows, amount) == int(book.line_paid[lines_of(book)].sum())
    assert not any(name.startswith("receiver_phone") for row in rows for name in row)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Vault]]:
    folder = tmp_path_factory.mktemp("dresses")
    with open_vault(folder / "vault.db", KEY) as vault:
        yield folder, vault


@pytest.mark.slow
@pytest.mark.parametrize("platform", sorted(USUAL))
def test_however_a_file_is_dressed_the_same_records_land(
    opened: tuple[Path, Vault], land: Land, platform: str
) -> None:
    folder, vault = opened
    plain = land(Settings(data_dir=folder / platform / "plain"), vault, platform, Dress())
    tried = iter(range(1000))

    @hypothesis_settings(
        max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(dress=DRESSES)
    def same(dress: Dress) -> None:
        settings = Settings(data_dir=folder / platform / str(next(tried)))
        assert land(settings, vault, platform, dress) == plain

    same()

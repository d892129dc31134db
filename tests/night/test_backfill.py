"""Backfills: a range by one bulk operation, continued where it broke off; other sources by days."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.landing.files import files_below
from tests.sources.shopify_shop import CREDENTIALS, NOW, MemoryShop
from typer.testing import CliRunner

from regulars import cli
from regulars.credentials import Credentials
from regulars.errors import NightError, SourceUnavailable
from regulars.landing import landing_gaps, list_batches, read_batch, streams
from regulars.night import backfill
from regulars.night.backfill import Days, backfill_span, spans_between
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.platforms.shopify import ShopifyFaults
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import Shop, load_shops
from regulars.sources.shopify_admin import ShopifyAdmin
from regulars.sources.shopify_admin.client import ShopifyClient
from regulars.state import StateStore

FIRST, LAST = "2017-09-19", "2017-09-30"
RANGE = Days.parse(f"{FIRST}/{LAST}")
KEY = Credentials("regulars_pii", password="0" * 64)
Run = Callable[..., str]


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=25, until=date(2017, 10, 3))


@pytest.fixture
def memory(book: OrderBook, monkeypatch: pytest.MonkeyPatch) -> MemoryShop:
    made = MemoryShop(book)

    def open_source(*_: Any) -> ShopifyAdmin:
        client = ShopifyClient(
            CREDENTIALS,
            transport=httpx.MockTransport(made.handle),
            sleep=made.time.sleep,
            elapsed=made.time.elapsed,
        )
        return ShopifyAdmin(client, made)

    class Clock:
        def __init__(self, _: str) -> None:
            pass

        def now(self) -> Any:
            return NOW

    monkeypatch.setattr(streams, "open_source", open_source)
    monkeypatch.setattr(backfill, "clock_for", Clock)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    document = yaml.safe_load((PROJECT_ROOT / "config/profiles/all-platforms.yml").read_text())
    for entry in document["shops"]:
        entry["overlap_minutes"] = 0
    document["shops"].append({**document["shops"][0], "shop": "by_file", "source": "file"})
    path = tmp_path / "shops.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return Settings(data_dir=tmp_path / "data", shops_file=str(path))


@pytest.fixture
def shop(settings: Settings) -> Shop:
    return load_shops(settings.shops_path).shop("demo_shopify")


@pytest.fixture
def run(settings: Settings, memory: MemoryShop) -> Run:
    def backfilled(days: Days = RANGE, **how: Any) -> str:
        def credentials(name: str) -> Credentials:
            return KEY if name == "regulars_pii" else Credentials(name)

        return backfill_span(settings, credentials, "demo_shopify", days, **how)

    return backfilled


def orders(settings: Settings) -> list[str]:
    batches = list_batches(settings, stream="orders")
    return sorted(
        record["legacy_resource_id"] for one in batches for record in read_batch(settings, one)
    )


def whole(shop: Shop, days: Days = RANGE) -> Window:
    return Window(shop.day_start(days.first), shop.day_end(days.last))


def missing(settings: Settings, shop: Shop, stream: str = "orders") -> list[Window]:
    return landing_gaps(settings, shop, stream, whole(shop))


def test_a_range_is_one_bulk_operation_a_stream_and_lands_day_by_day(
    settings: Settings, shop: Shop, memory: MemoryShop, run: Run
) -> None:
    spans = spans_between(settings, "demo_shopify", FIRST, LAST)
    assert spans == [RANGE]
    line = run(spans[0])
    expected = memory.ids(whole(shop))
    assert len(expected) > 20
    assert orders(settings) == sorted(expected)
    assert line.startswith(f"demo_shopify {FIRST}/{LAST}: orders {len(expected)}, refunds ")
    assert len(memory.gateway.bulk.operations) == 2
    batches = list_batches(settings, stream="orders")
    assert [str(one.window_date) for one in batches] == [str(day) for day in RANGE.each()]
    assert not missing(settings, shop)
    assert not missing(settings, shop, "refunds")


@pytest.mark.slow
def test_a_file_that_stays_cut_short_lands_nothing_and_the_gap_is_named(
    settings: Settings, shop: Shop, memory: MemoryShop, run: Run
) -> None:
    memory.gateway.faults = ShopifyFaults(bulk_cut=10_000)
    with pytest.raises(SourceUnavailable, match="cut short") as caught:
        run()
    assert f"demo_shopify/orders {FIRST}T00:00:00+08:00" in caught.value.where
    assert "more failed" in caught.value.what
    assert missing(settings, shop) == [whole(shop)]
    assert files_below(settings.landing_dir) == []
    assert StateStore(settings.resolved_state_url).lease.current() is None
    # The same command, once the platform gives its file whole.
    memory.gateway.faults = ShopifyFaults()
    run()
    assert orders(settings) == sorted(memory.ids(whole(shop)))


@pytest.mark.slow
def test_a_backfill_that_was_interrupted_asks_only_for_the_rest(
    settings: Settings, shop: Shop, memory: MemoryShop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def interrupted(line: str) -> None:
        told.append(line)
        if len(told) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(backfill, "report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    (rest,) = missing(settings, shop)
    assert rest.start == shop.day_start(RANGE.first + timedelta(days=3))
    before = len(memory.gateway.bulk.operations)
    monkeypatch.setattr(backfill, "report", lambda line: None)
    run()
    begun = memory.gateway.bulk.operations[before:]
    assert len(begun) == 2
    assert "updated_at:>='2017-09-21T16:00:00Z'" in begun[0].query
    assert orders(settings) == sorted(memory.ids(whole(shop)))


@pytest.mark.slow
def test_what_has_landed_is_asked_for_again_only_on_demand(memory: MemoryShop, run: Run) -> None:
    run()
    calls = len(memory.queries)
    assert run() == f"demo_shopify {FIRST}/{LAST}: orders landed before, refunds landed before"
    assert len(memory.queries) == calls
    assert "landed before" not in run(again=True)
    assert len(memory.gateway.bulk.operations) == 4


def test_a_short_range_is_listed(
    memory: MemoryShop, run: Run, settings: Settings, shop: Shop
) -> None:
    days = Days(RANGE.last - timedelta(days=3), RANGE.last)
    run(days)
    assert memory.gateway.bulk.operations == []
    assert orders(settings) == sorted(memory.ids(whole(shop, days)))


def test_a_source_without_bulk_operations_is_asked_day_by_day(settings: Settings) -> None:
    spans = spans_between(settings, "demo_tmall", FIRST, LAST)
    assert spans == list(RANGE.each())
    assert [Days.parse(str(one)) for one in spans] == spans
    assert len(spans) == 12


def test_a_range_that_cannot_be_landed_is_refused_with_the_way(settings: Settings) -> None:
    with pytest.raises(NightError, match="swap the two dates"):
        spans_between(settings, "demo_shopify", LAST, FIRST)
    with pytest.raises(NightError, match="drop its files into data/inbox/by_file"):
        spans_between(settings, "by_file", FIRST, LAST)


def test_the_command_lands_a_range(
    settings: Settings, shop: Shop, memory: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("REGULARS_SHOPS_FILE", settings.shops_file)
    monkeypatch.setenv("REGULARS_CLOCK_URL", "")
    for name, secret in (("PII", KEY.password), ("DEMO_SHOPIFY", "x")):
        monkeypatch.setenv(f"AIRFLOW_CONN_REGULARS_{name}", f'{{"password": "{secret}"}}')
    done = CliRunner().invoke(cli.app, ["backfill", "demo_shopify", FIRST, LAST])
    assert done.exit_code == 0, done.output
    assert f"demo_shopify {FIRST}/{LAST}: orders " in done.output
    assert not missing(settings, shop)

"""Long windows by bulk operations: every state of the operation and of its file."""

import json
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from regulars.errors import AuthenticationFailed, SchemaChanged, SourceUnavailable
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.platforms.shopify import ShopifyEdit, ShopifyFaults, ShopifyLimits
from regulars.sources.shopify_admin import bulk, queries
from regulars.sources.shopify_admin.bulk import bulk_file
from regulars.sources.shopify_admin.payload import ORDERS
from tests.sources.shopify_shop import NOW, MemoryShop, ids_of, shopify_shop

LONG = Window(NOW - timedelta(days=5), NOW - timedelta(hours=1))


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=16, until=date(2017, 10, 3))


@pytest.fixture
def shop(book: OrderBook) -> MemoryShop:
    return MemoryShop(book)


def by_id(shop: MemoryShop, window: Window = LONG) -> dict[str, Any]:
    """What the short way gives of the same window."""
    records = shop.source._orders.window(window)
    return {one.payload["legacy_resource_id"]: one.payload for one in records}


def test_both_ways_give_the_same_records(shop: MemoryShop) -> None:
    records = shop.read(window=LONG)
    assert len(records) > 15
    assert sorted(ids_of(records)) == sorted(shop.ids(LONG))
    assert {one.payload["legacy_resource_id"]: one.payload for one in records} == by_id(shop)
    assert all(ORDERS.check(one.payload).reasons == [] for one in records)
    assert [one.grouped for one in shop.gateway.bulk.operations] == [False]
    assert {one.position.partition(" ")[0] for one in records} == {"bulk"}


def test_the_refunds_of_a_long_window_come_whole(shop: MemoryShop) -> None:
    short = {
        one.payload["legacy_resource_id"]: one.payload for one in shop.source._refunds.window(LONG)
    }
    assert short
    records = shop.read("refunds", LONG)
    assert {one.payload["legacy_resource_id"]: one.payload for one in records} == short


def test_lines_that_stand_far_from_their_orders_find_them(shop: MemoryShop) -> None:
    shop.read(window=LONG)
    (operation,) = shop.gateway.bulk.operations
    kinds = ["__parentId" in json.loads(line) for line in operation.content.splitlines()]
    assert kinds == sorted(kinds)  # all orders first, then all lines
    assert len(kinds) == operation.objects > operation.roots


def test_the_file_is_fetched_without_the_token(shop: MemoryShop) -> None:
    shop.read(window=LONG)
    assert shop.gateway.tokens_seen_by_files == [None]


def test_a_window_without_orders_has_no_file(shop: MemoryShop) -> None:
    empty = Window(NOW - timedelta(days=800), NOW - timedelta(days=790))
    assert shop.read(window=empty) == []
    assert shop.gateway.bulk.operations[0].url is None
    assert shop.gateway.tokens_seen_by_files == []


def test_running_operations_of_others_are_waited_for(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_busy=3)
    assert len(shop.read(window=LONG)) == len(shop.ids(LONG))
    assert shop.time.waits[:3] == [60.0, 60.0, 60.0]


def test_five_operations_run_at_a_time(book: OrderBook) -> None:
    shop = MemoryShop(book, limits=ShopifyLimits(bulk_operations=5))
    text = queries.bulk_orders("")
    for _ in range(5):
        assert shop.gateway.bulk.refusal(text) is None
        shop.gateway.bulk.start(text, False, "2017-10-01T00:00:00Z")
    with pytest.raises(SourceUnavailable, match="other bulk operations are running"):
        shop.read(window=LONG)


@pytest.mark.parametrize("error", ["TIMEOUT", "INTERNAL_SERVER_ERROR"])
def test_a_failed_operation_is_run_anew_and_its_part_is_not_read(
    shop: MemoryShop, error: Any
) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_failed=2, bulk_error=error)
    assert sorted(ids_of(shop.read(window=LONG))) == sorted(shop.ids(LONG))
    operations = shop.gateway.bulk.operations
    assert [one.status for one in operations] == ["FAILED", "FAILED", "COMPLETED"]
    assert operations[0].partial is not None
    assert len(shop.gateway.tokens_seen_by_files) == 1


def test_an_operation_that_fails_three_times_fails_the_window(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_failed=3)
    with pytest.raises(SourceUnavailable, match="failed 3 times"):
        shop.read(window=LONG)


def test_an_operation_that_is_refused_fails_at_once(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_failed=3, bulk_error="ACCESS_DENIED")
    with pytest.raises(AuthenticationFailed, match="ACCESS_DENIED"):
        shop.read(window=LONG)
    assert len(shop.gateway.bulk.operations) == 1


def test_an_operation_that_others_cancel_is_run_anew(shop: MemoryShop) -> None:
    move_on = shop.gateway.bulk.move_on

    def cancelled(operation: Any, *rest: Any) -> None:
        if operation.number == 1:
            operation.status = "CANCELED"
        move_on(operation, *rest)

    shop.gateway.bulk.move_on = cancelled  # type: ignore[method-assign]
    assert len(shop.read(window=LONG)) == len(shop.ids(LONG))
    assert len(shop.gateway.bulk.operations) == 2


def test_an_operation_that_never_ends_is_given_up(shop: MemoryShop) -> None:
    shop.gateway.bulk.move_on = lambda *given: None  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable, match="failed 3 times"):
        shop.read(window=LONG)
    assert max(shop.time.waits) == 30.0
    assert sum(shop.time.waits) < 13 * 3600


def test_a_file_that_is_cut_short_is_fetched_again(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_cut=2)
    assert sorted(ids_of(shop.read(window=LONG))) == sorted(shop.ids(LONG))
    assert len(shop.gateway.tokens_seen_by_files) == 3


def test_a_file_that_is_cut_within_a_line_is_fetched_again(shop: MemoryShop) -> None:
    file = shop.gateway.file
    cuts = {"left": 1}

    def cut(name: str, headers: Any) -> Any:
        answer = file(name, headers)
        if cuts["left"]:
            cuts["left"] -= 1
            return type(answer)(200, answer.body[:-30])
        return answer

    shop.gateway.file = cut  # type: ignore[method-assign]
    assert sorted(ids_of(shop.read(window=LONG))) == sorted(shop.ids(LONG))


def test_an_expired_address_is_asked_for_again(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_url_expired=1)
    assert len(shop.read(window=LONG)) == len(shop.ids(LONG))
    assert len(shop.gateway.bulk.operations) == 1


def test_an_address_that_stays_expired_costs_a_new_operation(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_url_expired=2)
    assert len(shop.read(window=LONG)) == len(shop.ids(LONG))
    assert len(shop.gateway.bulk.operations) == 2


def test_orders_that_the_file_leaves_out_are_read_by_their_ids(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(bulk_loses=7)
    records = shop.read(window=LONG)
    assert sorted(ids_of(records)) == sorted(shop.ids(LONG))
    assert sum(one.position.startswith("order ") for one in records) == 7


def test_a_query_that_cannot_run_in_bulk_is_refused_by_name(shop: MemoryShop) -> None:
    refused = pytest.raises(SchemaChanged, match="refuses the bulk operation")
    with refused, bulk_file(shop.client, "{ shop { name } }"):
        pass


def test_objects_without_a_file_are_noticed(
    shop: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.gateway.faults = ShopifyFaults()
    monkeypatch.setattr(bulk, "_finished", lambda client, one: _done(one))
    with pytest.raises(SchemaChanged, match="counted objects and gives no file"):
        shop.read(window=LONG)


def _done(operation: dict[str, Any]) -> dict[str, Any]:
    return {**operation, "status": "COMPLETED", "objectCount": "5", "url": None}


def pieces_of(shop: MemoryShop, window: Window) -> list[Window]:
    """A long span's days, announced to the source."""
    pieces = shop.source.windows(shopify_shop(), "orders", window)
    shop.source.ask_together("orders", pieces)
    return pieces


def test_the_days_of_a_long_span_come_from_one_operation(shop: MemoryShop) -> None:
    span = Window(NOW - timedelta(days=9), NOW - timedelta(hours=1))
    pieces = pieces_of(shop, span)
    assert len(pieces) == 9
    found = {piece: shop.read(window=piece) for piece in pieces}
    assert len(shop.gateway.bulk.operations) == 1
    assert {one.position.partition(" ")[0] for day in found.values() for one in day} == {"bulk"}
    for piece, records in found.items():
        assert sorted(ids_of(records)) == sorted(shop.ids(piece))


def test_a_piece_outside_of_the_span_is_listed(shop: MemoryShop) -> None:
    pieces_of(shop, Window(NOW - timedelta(days=9), NOW - timedelta(hours=1)))
    earlier = Window(NOW - timedelta(days=10), NOW - timedelta(days=9))
    shop.read(window=earlier)
    shop.read("refunds", Window(NOW - timedelta(days=2), NOW - timedelta(days=1)))
    assert shop.gateway.bulk.operations == []


def test_an_order_that_moved_while_the_file_was_written_is_not_left_out(shop: MemoryShop) -> None:
    span = Window(NOW - timedelta(days=9), NOW - timedelta(hours=1))
    pieces = pieces_of(shop, span)
    moved = shop.gids(pieces[3])[0]
    later = {"updatedAt": (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    shop.gateway.faults = ShopifyFaults(edits=[ShopifyEdit(gid=moved, set=later)])
    number = moved.rpartition("/")[2]
    holds = [number in ids_of(shop.read(window=piece)) for piece in pieces]
    assert holds[-1]


def test_a_failed_operation_fails_every_day_and_is_not_run_for_each(shop: MemoryShop) -> None:
    pieces = pieces_of(shop, Window(NOW - timedelta(days=9), NOW - timedelta(hours=1)))
    shop.gateway.faults = ShopifyFaults(bulk_failed=100)
    for piece in pieces:
        with pytest.raises(SourceUnavailable, match="failed 3 times"):
            shop.read(window=piece)
    assert len(shop.gateway.bulk.operations) == 3


def test_what_was_read_ahead_is_removed_when_the_source_closes(
    shop: MemoryShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pieces = pieces_of(shop, Window(NOW - timedelta(days=9), NOW - timedelta(hours=1)))
    shop.read(window=pieces[0])
    assert list(tmp_path.iterdir())
    shop.source.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_readable_touches_the_disk(
    shop: MemoryShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    records = shop.source.iter_records(None, "orders", LONG)  # type: ignore[arg-type]
    first = next(records)
    (folder,) = tmp_path.iterdir()
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    email = first.payload.get("email") or next(
        one.payload["email"] for one in records if one.payload.get("email")
    )
    assert kept
    assert email.encode() not in kept
    assert b"firstName" not in kept
    list(records)
    assert list(tmp_path.iterdir()) == []

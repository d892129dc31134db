"""Shopify Admin API (GraphQL): orders and their refunds by modification time.

A short span is listed and read by ids; a longer one is written into one file by a bulk operation
of the platform and given day by day, and the list of each day is then compared with the file, so
that neither way loses an order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, SourceError
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.shopify_admin import queries
from regulars.sources.shopify_admin.auth import shopify_credentials
from regulars.sources.shopify_admin.client import ShopifyClient
from regulars.sources.shopify_admin.flatten import flat_order, number_of
from regulars.sources.shopify_admin.listing import search_of, walk
from regulars.sources.shopify_admin.payload import PAYLOADS, SOURCE
from regulars.sources.shopify_admin.spans import BulkSpan
from regulars.sources.shopify_admin.streams import ListPage, OrderStream, RefundStream
from regulars.sources.windows import cut

__all__ = ["PAYLOADS", "READS_SPANS", "SOURCE", "ShopifyAdmin", "open_api"]

READS_SPANS = True
"""A backfill asks for its whole range at once: one bulk operation a stream."""
LISTED_WINDOW = timedelta(days=1)
"""Longest window that is listed and read by ids; a longer one is read by a bulk operation."""
BULK_FROM = timedelta(days=7)
"""Spans longer than this are read by one bulk operation, shorter ones day by day."""
DEPTH_WITHOUT_SCOPE = timedelta(days=60)
"""How far back an app without read_all_orders sees orders, by the time of their creation."""
DEPTH_DAYS_WITHOUT_SCOPE = 59
"""The same for planning, less a day for the time that passes until a window is asked."""


_PLAIN_LISTS = ("transactions", "fulfillments")


def open_api(credentials: Credentials, clock: Clock, shop: Shop) -> "ShopifyAdmin":
    """The shop at the platform.

    Raises:
        ConfigError: the credentials are incomplete.
    """
    return ShopifyAdmin(ShopifyClient(shopify_credentials(credentials)), clock)


class ShopifyAdmin:
    """One shop. Close it (or use ``with``) to release the connections."""

    name = SOURCE

    def __init__(self, client: ShopifyClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._orders = OrderStream(client)
        self._refunds = RefundStream(client)
        self._scopes: frozenset[str] | None = None
        self._span: BulkSpan | None = None

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The days that ``window`` is asked in; each is a batch, however they are read."""
        return cut(shop, window, self._clock.now(), LISTED_WINDOW)

    def ask_together(self, stream: str, pieces: Sequence[Window]) -> None:
        """Told the pieces of one span before the first is asked for: a long one is read at once."""
        self._forget_span()
        if not pieces:
            return
        span = Window(pieces[0].start, pieces[-1].end)
        if span.end - span.start > BULK_FROM:
            self._span = self._bulk_span(stream, span)

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` in orders updated within ``window``.

        Raises:
            SourceError: see :meth:`ShopifyClient.call`; also when the window reaches back further
                than the app may see, where orders would be left out without a word.
            KeyError: an unknown stream.
        """
        _ = PAYLOADS[stream]
        self._check_depth(window)
        by_list = self._orders.window if stream == "orders" else self._refunds.window
        in_bulk = self._bulk_orders if stream == "orders" else self._bulk_refunds
        with self._spanning(stream, window) as span:
            yield from by_list(window) if span is None else in_bulk(window, span)

    def close(self) -> None:
        """Close the connections, and remove what was read ahead."""
        self._forget_span()
        self._client.close()

    def depth_days(self) -> int | None:
        """Days back for which the app may see orders, by its scopes; None without an end.

        Raises:
            SourceError: see :meth:`ShopifyClient.call`.
        """
        return None if "read_all_orders" in self._granted() else DEPTH_DAYS_WITHOUT_SCOPE

    def _forget_span(self) -> None:
        if self._span is not None:
            self._span.close()
            self._span = None

    def _bulk_span(self, stream: str, span: Window) -> BulkSpan:
        orders = stream == "orders"
        text = queries.bulk_orders if orders else queries.bulk_orders_with_refunds
        return BulkSpan(self._client, stream, text(search_of(span.start, span.end)), span)

    @contextmanager
    def _spanning(self, stream: str, window: Window) -> Iterator[BulkSpan | None]:
        """The bulk operation that answers a window; None where its list does."""
        if self._span is not None and self._span.answers(stream, window):
            yield self._span
        elif window.end - window.start <= LISTED_WINDOW:
            yield None
        else:
            own = self._bulk_span(stream, window)
            try:
                yield own
            finally:
                own.close()

    def _bulk_orders(self, window: Window, span: BulkSpan) -> Iterator[RawRecord]:
        for node in span.nodes(window):
            if any(len(node.get(name) or ()) >= queries.LONGEST_LIST for name in _PLAIN_LISTS):
                yield from self._orders.by_id([node["id"]])
                continue
            node["lineItems"] = {"nodes": node.pop("nodes")}
            yield RawRecord(flat_order(node), f"bulk order {number_of(node['id'])}")
        # Whether a file holds what moved while it was written is not documented.
        listed = walk(window, ListPage(self._client, queries.LIST_ORDERS))
        yield from self._orders.by_id(one.gid for one in listed if one.gid not in span)

    def _bulk_refunds(self, window: Window, span: BulkSpan) -> Iterator[RawRecord]:
        yield from self._refunds.of_orders(
            node["id"] for node in span.nodes(window) if node.get("refunds")
        )
        listed = walk(window, ListPage(self._client, queries.LIST_ORDERS_WITH_REFUNDS))
        yield from self._refunds.of_orders(
            one.gid for one in listed if one.node.get("refunds") and one.gid not in span
        )

    def _check_depth(self, window: Window) -> None:
        scopes = self._granted()
        if not scopes & {"read_orders", "read_all_orders", "write_orders"}:
            raise AuthenticationFailed(
                "the app may not read orders",
                where="scopes of the app",
                next_step="grant the scope read_orders, install the app again and put its new "
                "token into the connection's extra",
            )
        if "read_all_orders" in scopes:
            return
        if window.start < self._clock.now() - DEPTH_WITHOUT_SCOPE:
            raise SourceError(
                "the window reaches back more than 60 days, and without the scope read_all_orders "
                "the platform leaves older orders out without a word",
                where="scopes of the app",
                next_step="ask the platform for read_all_orders, or bring older orders as files "
                "and set api_from in config/shops.yml",
            )

    def _granted(self) -> frozenset[str]:
        if self._scopes is None:
            data = self._client.call(queries.READ_SCOPES)
            installed = data.get("currentAppInstallation") or {}
            scopes = installed.get("accessScopes") or []
            self._scopes = frozenset(str(scope.get("handle")) for scope in scopes)
        return self._scopes

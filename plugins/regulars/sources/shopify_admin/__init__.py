"""Shopify Admin API (GraphQL): orders and their refunds by modification time.

A short window is listed and read by ids; a longer one is written into a file by a bulk operation
of the platform, and the list is then compared with the file, so that neither way loses an order.
"""

from collections.abc import Iterator
from datetime import timedelta

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, SourceError
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.shopify_admin import queries
from regulars.sources.shopify_admin.auth import shopify_credentials
from regulars.sources.shopify_admin.bulk import read_bulk
from regulars.sources.shopify_admin.client import ShopifyClient
from regulars.sources.shopify_admin.flatten import flat_order, number_of
from regulars.sources.shopify_admin.listing import search_of, walk
from regulars.sources.shopify_admin.payload import PAYLOADS, SOURCE
from regulars.sources.shopify_admin.streams import ListPage, OrderStream, RefundStream
from regulars.sources.windows import cut

__all__ = ["PAYLOADS", "SOURCE", "ShopifyAdmin", "open_api"]

LISTED_WINDOW = timedelta(days=1)
"""Longest window that is listed and read by ids; a longer one is read by a bulk operation."""
BULK_FROM = timedelta(days=7)
"""Spans longer than this are asked for in bulk pieces, shorter ones day by day."""
BULK_WINDOW = timedelta(days=31)
"""Longest window of one bulk operation: a failed one does not cost more than a month."""
DEPTH_WITHOUT_SCOPE = timedelta(days=60)
"""How far back an app without read_all_orders sees orders, by the time of their creation."""
DEPTH_DAYS_WITHOUT_SCOPE = 59
"""The same for planning, less a day for the time that passes until a window is asked."""


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

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is asked in: days, or months where it is long."""
        is_long = window.end - window.start > BULK_FROM
        longest = BULK_WINDOW if is_long else LISTED_WINDOW
        return cut(shop, window, self._clock.now(), longest)

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` in orders updated within ``window``.

        Raises:
            SourceError: see :meth:`ShopifyClient.call`; also when the window reaches back further
                than the app may see, where orders would be left out without a word.
            KeyError: an unknown stream.
        """
        _ = PAYLOADS[stream]
        self._check_depth(window)
        is_long = window.end - window.start > LISTED_WINDOW
        if stream == "orders":
            yield from self._bulk_orders(window) if is_long else self._orders.window(window)
        else:
            yield from self._bulk_refunds(window) if is_long else self._refunds.window(window)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def depth_days(self) -> int | None:
        """Days back for which the app may see orders, by its scopes; None without an end.

        Raises:
            SourceError: see :meth:`ShopifyClient.call`.
        """
        return None if "read_all_orders" in self._granted() else DEPTH_DAYS_WITHOUT_SCOPE

    def _bulk_orders(self, window: Window) -> Iterator[RawRecord]:
        seen: set[str] = set()
        search = search_of(window.start, window.end)
        for node in read_bulk(self._client, queries.bulk_orders(search)):
            seen.add(node["id"])
            node["lineItems"] = {"nodes": node.pop("nodes")}
            yield RawRecord(flat_order(node), f"bulk order {number_of(node['id'])}")
        # Whether a file holds what moved while it was written is not documented.
        listed = walk(window, ListPage(self._client, queries.LIST_ORDERS))
        yield from self._orders.by_id(one.gid for one in listed if one.gid not in seen)

    def _bulk_refunds(self, window: Window) -> Iterator[RawRecord]:
        seen: set[str] = set()
        search = search_of(window.start, window.end)
        yield from self._refunds.of_orders(
            _noted(
                seen,
                (
                    node["id"]
                    for node in read_bulk(self._client, queries.bulk_orders_with_refunds(search))
                    if node.get("refunds")
                ),
            )
        )
        listed = walk(window, ListPage(self._client, queries.LIST_ORDERS_WITH_REFUNDS))
        yield from self._refunds.of_orders(
            one.gid for one in listed if one.node.get("refunds") and one.gid not in seen
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


def _noted(seen: set[str], gids: Iterator[str]) -> Iterator[str]:
    for gid in gids:
        seen.add(gid)
        yield gid

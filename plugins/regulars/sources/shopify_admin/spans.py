"""A long span read by one bulk operation, and given in the pieces that it is asked in."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from regulars.errors import SourceError
from regulars.records import Window
from regulars.sources.shopify_admin.bulk import BulkFile, bulk_file
from regulars.sources.shopify_admin.client import ShopifyClient

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class BulkSpan:
    """What one bulk operation gives of one span. Close it: that removes the file.

    The operation runs when the first piece is asked for. If it fails, every piece fails with its
    error, and no further operation is run: each would cost as much.

    Args:
        client: the shop's client.
        stream: whose pieces it answers.
        query: inner query of the operation.
        span: what ``query`` asks for.
    """

    def __init__(self, client: ShopifyClient, stream: str, query: str, span: Window) -> None:
        self._client = client
        self._stream = stream
        self._query = query
        self._span = span
        self._stack = ExitStack()
        self._file: BulkFile | None = None
        self._error: SourceError | None = None

    def answers(self, stream: str, piece: Window) -> bool:
        """Whether a piece lies in the span."""
        inside = self._span.start <= piece.start and piece.end <= self._span.end
        return stream == self._stream and inside

    def nodes(self, piece: Window) -> Iterator[dict[str, Any]]:
        """The orders of the file that belong to a piece, by the time of their modification.

        An order that moved while the file was written shows a time outside of the span; it goes
        with the nearest piece, so that no order of the file is left out.

        Raises:
            SourceError: see :func:`regulars.sources.shopify_admin.bulk.bulk_file`.
        """
        start = _LONG_AGO if piece.start == self._span.start else piece.start
        end = None if piece.end == self._span.end else piece.end
        yield from self._opened().roots(start, end)

    def __contains__(self, gid: object) -> bool:
        return gid in self._opened()

    def close(self) -> None:
        """Remove the file."""
        self._stack.close()
        self._file = None

    def _opened(self) -> BulkFile:
        if self._error is not None:
            raise self._error
        if self._file is None:
            try:
                self._file = self._stack.enter_context(bulk_file(self._client, self._query))
            except SourceError as error:
                self._error = error
                raise
        return self._file

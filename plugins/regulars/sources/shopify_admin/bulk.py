"""Reading a long window by a bulk operation: the platform writes one file, JSON line by JSON line.

| state of the operation | reaction |
|---|---|
| OPERATION_IN_PROGRESS, LIMIT_REACHED (five at a time) | a minute's wait, then again |
| INVALID | SchemaChanged |
| CREATED, RUNNING, CANCELING | asked again, waiting up to half a minute |
| COMPLETED without address | nothing to read; if objects were counted, SchemaChanged |
| FAILED with ACCESS_DENIED | AuthenticationFailed |
| FAILED, CANCELED, EXPIRED | run anew, three times at most; a partial file is never read |
| file cut short, fewer lines than counted | fetched again |
| the file's address is refused (it lives seven days) | asked for again, then run anew |

Lines of an order need not stand beside it (``groupObjects: false``), so the file is put down
sorted. It holds contact data: nothing of it touches the disk but encrypted under a key that only
this process knows. It is whole before anything of it is given.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import msgspec

from regulars.errors import AuthenticationFailed, SchemaChanged, SourceUnavailable
from regulars.sources.calling import Repeat, parsed, repeat_unless_answered, transport_faults
from regulars.sources.shopify_admin.client import ShopifyClient
from regulars.sources.shopify_admin.queries import POLL_BULK, RUN_BULK
from regulars.vault.scratch import ScratchCipher

_RUNS = 3
_BUSY_SECONDS = 60.0
_FIRST_POLL, _LONGEST_POLL, _LONGEST_RUN = 2.0, 30.0, 4 * 3600.0
_UNFINISHED = frozenset({"CREATED", "RUNNING", "CANCELING"})
_BUSY = frozenset({"OPERATION_IN_PROGRESS", "LIMIT_REACHED"})


_FOREVER = 2**40
_ROWS_AT_ONCE = 1_000


class _Line(msgspec.Struct, gc=False):
    """What a line says of its place; the rest of it is read when its order is."""

    id: str
    parent: str | None = msgspec.field(name="__parentId", default=None)
    updated: str | None = msgspec.field(name="updatedAt", default=None)


_PLACE = msgspec.json.Decoder(_Line)


class _Expired(Exception):
    """The file's address is no longer answered."""


@contextmanager
def bulk_file(client: ShopifyClient, query: str) -> Iterator["BulkFile"]:
    """The file of a bulk operation over ``query``: whole, counted, and gone afterwards.

    Raises:
        SourceUnavailable: the operation failed three times.
        AuthenticationFailed: the platform refuses the operation.
        SchemaChanged: the platform refuses the query, or its file has another shape.
    """
    with BulkFile() as file:
        _read(client, query, file)
        yield file


def _read(client: ShopifyClient, query: str, file: "BulkFile") -> None:
    for _ in range(_RUNS):
        file.clear()
        operation = _finished(client, _started(client, query))
        if operation is None or operation["status"] != "COMPLETED":
            _check_refusal(operation)
        elif _fetched(client, operation, file):
            return
    raise SourceUnavailable(
        f"the bulk operation failed {_RUNS} times",
        where="RunBulk",
        next_step="run the night again later; what is missing is asked again",
    )


def _started(client: ShopifyClient, query: str) -> dict[str, Any]:
    def once() -> dict[str, Any]:
        payload = client.call(RUN_BULK, {"query": query}).get("bulkOperationRunQuery") or {}
        codes = {str(error.get("code")) for error in payload.get("userErrors") or []}
        if codes & _BUSY:
            raise Repeat("other bulk operations are running", _BUSY_SECONDS, is_ban=True)
        operation: dict[str, Any] | None = payload.get("bulkOperation")
        if codes or operation is None:
            raise _unexpected("the platform refuses the bulk operation")
        return operation

    return client.repeater.run(once, "RunBulk")


def _finished(client: ShopifyClient, operation: dict[str, Any]) -> dict[str, Any] | None:
    """The operation when it has ended; None when it takes too long."""
    wait, waited = _FIRST_POLL, 0.0
    while operation["status"] in _UNFINISHED:
        if waited >= _LONGEST_RUN:
            return None
        client.sleep(wait)
        waited += wait
        wait = min(2 * wait, _LONGEST_POLL)
        operation = _polled(client, operation["id"])
    return operation


def _polled(client: ShopifyClient, gid: str) -> dict[str, Any]:
    operation: dict[str, Any] | None = client.call(POLL_BULK, {"id": gid}).get("bulkOperation")
    if operation is None:
        raise _unexpected("the platform does not know its bulk operation any more")
    return operation


def _check_refusal(operation: dict[str, Any] | None) -> None:
    if operation is not None and operation.get("errorCode") == "ACCESS_DENIED":
        raise AuthenticationFailed(
            "the bulk operation was refused (ACCESS_DENIED)",
            where="RunBulk",
            next_step="check that the app is installed in the shop with the scope read_orders",
        )


def _fetched(client: ShopifyClient, operation: dict[str, Any], file: "BulkFile") -> bool:
    """Whether the file could be read into ``file``; its address is asked for anew once."""
    for _ in range(2):
        url = operation.get("url")
        if url is None:
            if int(operation.get("objectCount") or 0):
                raise _unexpected("the bulk operation counted objects and gives no file")
            return True
        try:
            client.repeater.run(partial(_fetch, client, operation, file), "bulk file")
        except _Expired:
            operation = _polled(client, operation["id"])
        else:
            return True
    return False


def _fetch(client: ShopifyClient, operation: dict[str, Any], file: "BulkFile") -> None:
    file.clear()
    with transport_faults(), client.files.stream("GET", operation["url"]) as answer:
        repeat_unless_answered(answer)
        if answer.status_code != 200:
            raise _Expired
        lines = roots = 0
        for text in _lines(answer):
            roots += file.add(text)
            lines += 1
    expected = int(operation.get("objectCount") or 0), int(operation.get("rootObjectCount") or 0)
    if lines < expected[0] or roots < expected[1]:
        raise Repeat("the file of the bulk operation is cut short")


def _lines(answer: httpx.Response) -> Iterator[bytes]:
    # Lines end with a line feed alone; texts may hold other characters that split lines.
    rest = b""
    for chunk in answer.iter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)
    if rest:
        yield rest


def _placed(line: bytes) -> _Line:
    """What a line says of its place.

    Raises:
        ValueError, AttributeError, KeyError: it is not a complete object.
    """
    try:
        line.decode()  # what is skipped is not looked at
        return _PLACE.decode(line)
    except ValueError:
        value = parsed(line)
        return _Line(value["id"], value.get("__parentId"), value.get("updatedAt"))


def _seconds(text: Any) -> int:
    try:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    except (AttributeError, TypeError, ValueError):
        raise _unexpected("an object of the bulk operation has no time of modification") from None


def _unexpected(what: str) -> SchemaChanged:
    return SchemaChanged(
        what,
        where="RunBulk",
        next_step="compare the platform's documentation with the source's bulk queries",
    )


class BulkFile:
    """Objects of a file, findable by their parent, root objects by the time of their modification.

    On disk everything but ids and times is encrypted.
    """

    def __enter__(self) -> "BulkFile":
        self._folder = tempfile.TemporaryDirectory(prefix="regulars-bulk-")
        self._cipher = ScratchCipher()
        self._database = sqlite3.connect(Path(self._folder.name) / "objects.sqlite")
        self._database.executescript(
            "pragma journal_mode = off; pragma synchronous = off;"
            "create table objects"
            " (place integer primary key, parent text, id text, updated integer, body blob);"
            "create index by_parent on objects (parent, place) where parent <> '';"
            "create index by_time on objects (updated, place) where parent = '';"
            "create index by_id on objects (id) where parent = '';"
        )
        self._place = 0
        self._waiting: list[tuple[int, str, str, int | None, bytes]] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def clear(self) -> None:
        """Forget every object."""
        self._waiting.clear()
        self._database.execute("delete from objects")

    def add(self, line: bytes) -> int:
        """Take one line; 1 for a root object, 0 for a child.

        Raises:
            Repeat: the line is not complete.
        """
        try:
            place = _placed(line)
        except (ValueError, AttributeError, KeyError):
            raise Repeat("a line of the bulk operation's file is not a complete object") from None
        parent = place.parent or ""
        updated = None if parent else _seconds(place.updated)
        # A number is never used twice under one key.
        self._place += 1
        body = self._cipher.seal(self._place, line)
        self._waiting.append((self._place, parent, place.id, updated, body))
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._put_down()
        return int(place.parent is None)

    def _put_down(self) -> None:
        if self._waiting:
            self._database.executemany("insert into objects values (?, ?, ?, ?, ?)", self._waiting)
            self._waiting.clear()

    def __contains__(self, gid: object) -> bool:
        self._put_down()
        found = "select 1 from objects where id = ? and parent = ''"
        return self._database.execute(found, (gid,)).fetchone() is not None

    def roots(self, start: datetime, end: datetime | None) -> Iterator[dict[str, Any]]:
        """The root objects modified in [start, end), their children in a list ``nodes``.

        Args:
            start: aware.
            end: aware; None for no end.
        """
        self._put_down()
        found = (
            "select place, id, body from objects where parent = '' and updated >= ?"
            " and updated < ? order by updated, place"
        )
        span = (start.timestamp(), _FOREVER if end is None else end.timestamp())
        children = (
            "select place, body from objects where parent = ? and parent <> '' order by place"
        )
        for place, gid, body in self._database.execute(found, span):
            node = self._opened(place, body)
            node["nodes"] = [
                self._opened(one, inner) for one, inner in self._database.execute(children, (gid,))
            ]
            yield node

    def _opened(self, place: int, body: bytes) -> dict[str, Any]:
        plain = self._cipher.open(place, body)
        value: dict[str, Any] = parsed(plain)
        value.pop("__parentId", None)
        return value

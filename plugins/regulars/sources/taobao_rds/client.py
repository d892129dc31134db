"""Rows of the push database: what is read on, what ends the extraction.

| what happens | reaction |
|---|---|
| no connection, or it is lost or killed; server restarts; deadlock; timeout | anew, see below |
| the same, five times without one further row | SourceUnavailable |
| user, password, host or account refused; table not granted | AuthenticationFailed, never again |
| database, table or column missing | SchemaChanged, never again |
| anything else | SourceError, never again |

Anew: after a wait that doubles, with a new connection, from behind the last row that was given.
Errors carry the server's number and names of ours only: its texts repeat users, hosts and values.

Rows are read in the order of (jdp_modified, tid), page by page, each page from behind the last row
of the one before. Many rows share a second, so the time alone would lose or repeat some. A row
that is pushed anew while one reads moves behind the window's end, and the next window has it.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from regulars.errors import AuthenticationFailed, SchemaChanged, SourceError
from regulars.sources.calling import Repeat, Repeater, RetryPolicy
from regulars.sources.taobao_rds.access import RdsAccess

PAGE_ROWS = 5_000
# Handed on together: few enough that a trade of thousands of lines beside others is no burden.
_ROWS_AT_ONCE = 100
_BYTES_AT_ONCE = 4 << 20

_PASSING = frozenset(
    {
        *(1040, 1042, 1043, 1053, 1077, 1079, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1184),
        *(1203, 1205, 1213, 1226, 1317, 1637, 1927, 1969, 2002, 2003, 2006, 2013, 2055, 3024),
    }
)
_ACCESS = frozenset(
    {
        *(1044, 1045, 1129, 1130, 1131, 1142, 1143, 1227, 1251, 1275, 1524, 1698),
        *(1820, 1862, 2026, 2059, 2061, 3118, 3159, 4151),
    }
)
_MISSING = {1049: "the database", 1054: "a column", 1146: "the table", 1109: "the table"}


@dataclass(frozen=True, slots=True)
class PushTable:
    """A table that the platform pushes to.

    Attributes:
        name: the table's name.
        key: column of the record's id, its primary key.
    """

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class PushedRow:
    """One row.

    Attributes:
        key: the record's id, digits.
        pushed: ``jdp_modified`` as it is written, GMT+8.
        response: ``jdp_response`` as it is stored, UTF-8.
    """

    key: str
    pushed: str
    response: bytes | None


class RdsClient:
    """Reads one seller's rows of one push database. It only ever selects.

    Args:
        access: where and whose.
        policy: how often a failure without progress is repeated.
        sleep: waits so many seconds.
        timeout_seconds: of connecting, and of waiting for the next bytes.
        page_rows: rows of one query.
    """

    def __init__(
        self,
        access: RdsAccess,
        *,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        timeout_seconds: float = 60.0,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        self.access = access
        self._repeater = Repeater(policy, sleep)
        self._timeout = timeout_seconds
        self.page_rows = page_rows
        self._connection: pymysql.Connection[Any] | None = None

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, pymysql.Error):
                connection.close()

    def rows(self, table: PushTable, start: str, end: str) -> Iterator[PushedRow]:
        """Rows pushed from ``start`` (included) to ``end`` (excluded), oldest first.

        Args:
            table: which table.
            start: wall clock of GMT+8, ``YYYY-MM-DD HH:MM:SS``.
            end: the same.

        Raises:
            SourceUnavailable: no further row came, however often it was tried.
            AuthenticationFailed: the server refuses the user.
            SchemaChanged: database, table or column are missing.
            SourceError: any other refusal.
        """
        reading = _Reading(self, table, start, end)
        try:
            while rows := self._repeater.run(reading.further, f"{table.name} {start}"):
                yield from rows
        finally:
            reading.close()

    def open_page(self, query: str, values: dict[str, str]) -> SSCursor:
        """An open cursor over one page.

        Raises:
            Repeat, RegularsError: see the module.
        """
        if self._connection is None:
            self._connection = self._connected()
        cursor: SSCursor = self._connection.cursor()
        cursor.execute(query, values)
        return cursor

    def _connected(self) -> "pymysql.Connection[Any]":
        access = self.access
        is_socket = access.host.startswith("/")
        # Values are escaped, what comes back is not converted.
        one_way: Any = pymysql.converters.encoders
        connection: pymysql.Connection[Any] = pymysql.connect(
            host=None if is_socket else access.host,
            unix_socket=access.host if is_socket else None,
            port=access.port,
            user=access.user,
            password=access.password,
            database=access.database,
            charset="utf8mb4",
            # The texts stay bytes: they are parsed as such, and decoding them costs as much as
            # reading them.
            use_unicode=False,
            conv=one_way,
            cursorclass=SSCursor,
            autocommit=True,
            connect_timeout=max(1, min(10, int(self._timeout))),
            read_timeout=self._timeout,
            write_timeout=self._timeout,
            # Should the columns be of type timestamp, they come in the platform's own time.
            init_command="set time_zone = '+08:00'",
            ssl=ssl.create_default_context(cafile=access.ca_file) if access.ca_file else None,
        )
        return connection


class _Reading:
    """One window's rows, from wherever the reading stands."""

    def __init__(self, client: RdsClient, table: PushTable, start: str, end: str) -> None:
        self._client = client
        self._table = table
        self._values = {"start": start, "end": end, "seller": client.access.seller_nick}
        self._last: PushedRow | None = None
        self._cursor: SSCursor | None = None
        self._left = 0
        """Rows that the open page may still hold."""
        self._is_done = False

    def further(self) -> list[PushedRow]:
        """The next rows; none at the window's end. Raises Repeat when it can be tried again."""
        try:
            return self._further()
        except pymysql.Error as error:
            self._forget()
            raise _reaction(error, self._table, self._client.access) from None
        except OSError as error:
            self._forget()
            raise Repeat(f"the connection failed ({type(error).__name__})") from None

    def _further(self) -> list[PushedRow]:
        while not self._is_done:
            if self._cursor is None:
                self._cursor = self._client.open_page(self._query(), self._bound())
                self._left = self._client.page_rows
            rows: list[PushedRow] = []
            size, is_end = 0, False
            while len(rows) < _ROWS_AT_ONCE and size < _BYTES_AT_ONCE:
                found = self._cursor.fetchone()
                if found is None:
                    is_end = True
                    break
                rows.append(_pushed_row(found))
                size += len(found[2] or b"")
            self._left -= len(rows)
            if is_end:
                self._cursor.close()
                self._cursor = None
                self._is_done = self._left > 0
            if rows:
                self._last = rows[-1]
                return rows
        return []

    def _query(self) -> str:
        key = self._table.key
        # Two ranges of the index (jdp_modified, primary key): a second that millions of rows
        # share, as after a load of the history, is not read from its beginning for each page.
        span = (
            f"((jdp_modified > %(pushed)s and jdp_modified < %(end)s)"
            f" or (jdp_modified = %(pushed)s and {key} > %(key)s))"
            if self._last is not None
            else "(jdp_modified >= %(start)s and jdp_modified < %(end)s)"
        )
        return (
            f"select {key}, jdp_modified, jdp_response from {self._table.name}"
            f" where {span} and seller_nick = %(seller)s"
            f" order by jdp_modified, {key} limit {self._client.page_rows}"
        )

    def _bound(self) -> dict[str, Any]:
        if self._last is None:
            return self._values
        # As a number: compared as text, the index would be of no use.
        return {**self._values, "pushed": self._last.pushed, "key": int(self._last.key)}

    def _forget(self) -> None:
        cursor, self._cursor = self._cursor, None
        self._client.close()
        result = getattr(cursor, "_result", None)
        if result is not None:
            # Else the driver, when it lets go of the cursor, would read the rest of the page.
            result.unbuffered_active = False

    def close(self) -> None:
        """Let go of a page that was not read to its end."""
        if self._cursor is not None:
            self._forget()


def _pushed_row(found: tuple[Any, ...]) -> PushedRow:
    key, pushed, response = found
    return PushedRow(key.decode(), pushed.decode(), response)


def _reaction(error: pymysql.Error, table: PushTable, access: RdsAccess) -> Exception:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    reason = f"MySQL error {number}" if number else type(error).__name__
    if number in _PASSING or number == 0:
        return Repeat(f"the push database failed ({reason})")
    if number in _ACCESS:
        return AuthenticationFailed(
            f"the push database refuses the user ({reason})",
            where=table.name,
            next_step="check login and password of the connection, the list of addresses that may "
            "connect, and that the user may select from the table",
        )
    if number in _MISSING:
        return SchemaChanged(
            f"{_MISSING[number]} that the platform pushes to is missing ({reason})",
            where=f"{access.database}.{table.name}",
            next_step="check extra.database of the connection, and in the platform's console that "
            "the push of this table is switched on and its columns are the documented ones",
        )
    return SourceError(
        f"the push database refuses the query ({reason})",
        where=table.name,
        next_step="look the number up in the server's documentation",
    )

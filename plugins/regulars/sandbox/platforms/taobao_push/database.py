"""The database that the sandbox pushes to: two of the platform's tables, upserted row by row."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql

from regulars.errors import ConfigError

TRADE_COLUMNS = (
    *("tid", "status", "type", "seller_nick", "buyer_nick", "created", "modified"),
    *("jdp_hashcode", "jdp_response", "jdp_created", "jdp_modified"),
)
REFUND_COLUMNS = (
    *("refund_id", "seller_nick", "buyer_nick", "status", "created", "tid", "oid", "modified"),
    *("jdp_hashcode", "jdp_response", "jdp_created", "jdp_modified"),
)

_COMMON = """
    jdp_hashcode varchar(128) default null,
    jdp_response mediumtext,
    jdp_created datetime default null,
    jdp_modified datetime default null,
"""
_TABLES = {
    "jdp_tb_trade": f"""
        tid bigint(20) not null,
        status varchar(64) default null,
        type varchar(64) default null,
        seller_nick varchar(64) default null,
        buyer_nick varchar(255) default null,
        created datetime default null,
        modified datetime default null,
        {_COMMON}
        primary key (tid),
        key ind_jdp_tb_trade_jdp_modified (jdp_modified),
        key ind_jdp_tb_trade_modified (modified),
        key ind_buyer_nick (buyer_nick)
    """,
    "jdp_tb_refund": f"""
        refund_id bigint(20) not null,
        seller_nick varchar(64) default null,
        buyer_nick varchar(255) default null,
        status varchar(64) default null,
        created datetime default null,
        tid bigint(20) default null,
        oid bigint(20) default null,
        modified datetime default null,
        {_COMMON}
        primary key (refund_id),
        key ind_jdp_tb_refund_jdp_modified (jdp_modified)
    """,
}
_ROWS_AT_ONCE = 200


@dataclass(frozen=True)
class PushDatabase:
    """One MySQL or MariaDB database; ``repr`` shows no password."""

    name: str
    host: str = "127.0.0.1"
    port: int = 3306
    user: str = "root"
    password: str = field(default="", repr=False)

    def create(self) -> None:
        """Make the database and its tables where they are missing.

        Raises:
            ConfigError: the server does not answer or does not let the user.
        """
        with closing(self._connect("")) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"create database if not exists `{self.name}` default character set utf8mb4"
            )
            for table, columns in _TABLES.items():
                cursor.execute(
                    f"create table if not exists `{self.name}`.{table} ({columns})"
                    " engine = InnoDB default charset = utf8mb4"
                )

    def drop(self) -> None:
        """Remove the database with all that is in it."""
        with closing(self._connect("")) as connection, connection.cursor() as cursor:
            cursor.execute(f"drop database if exists `{self.name}`")

    def connect(self) -> "pymysql.Connection[Any]":
        """A connection to the database, without automatic commit.

        Raises:
            ConfigError: see :meth:`create`.
        """
        return self._connect(self.name)

    def _connect(self, database: str) -> "pymysql.Connection[Any]":
        try:
            return pymysql.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                database=database or None,
                charset="utf8mb4",
                autocommit=False,
            )
        except pymysql.Error as error:
            raise ConfigError(
                f"the push database does not answer (MySQL error {error.args[0]})",
                where=f"{self.host}:{self.port}/{self.name}",
                next_step="start MariaDB or MySQL there, or name another server",
            ) from None


def push_database_at(url: str) -> PushDatabase:
    """The database that ``mysql://user:password@host:3306/database`` names.

    Raises:
        ConfigError: it names none; the URL is not shown.
    """
    parts = urlsplit(url)
    name = parts.path.strip("/")
    if parts.scheme not in ("mysql", "mariadb") or not parts.hostname or not name.isidentifier():
        raise ConfigError(
            "there is no database to push into",
            where="REGULARS_SANDBOX_PUSH_URL",
            next_step="set it in .env to mysql://user:password@host:3306/database "
            "(docs/reference/platforms/taobao_rds.md)",
        )
    return PushDatabase(
        name,
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
    )


def upsert(
    connection: "pymysql.Connection[Any]",
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> int:
    """Write rows; one that is there already keeps ``jdp_created`` only. How many were given."""
    changed = ", ".join(f"{name} = values({name})" for name in columns[1:] if name != "jdp_created")
    statement = (
        f"insert into {table} ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"
        f" on duplicate key update {changed}"
    )
    count = 0
    part: list[Sequence[Any]] = []
    with connection.cursor() as cursor:
        for row in rows:
            part.append(row)
            if len(part) == _ROWS_AT_ONCE:
                cursor.executemany(statement, part)
                count += len(part)
                part.clear()
        if part:
            cursor.executemany(statement, part)
            count += len(part)
    connection.commit()
    return count

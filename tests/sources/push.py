"""A push database's rows for tests, and a client that reads them."""

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from regulars.sandbox.platforms.taobao_push import PushDatabase
from regulars.sandbox.platforms.taobao_push.database import (
    REFUND_COLUMNS,
    TRADE_COLUMNS,
    upsert,
)
from regulars.sources.calling import RetryPolicy
from regulars.sources.taobao_rds.access import RdsAccess
from regulars.sources.taobao_rds.client import RdsClient
from tests.sources.gateway import Sleeper

SELLER = "demo_grocer"
NOON = "2017-10-01 12:00:00"


def wrapped(record: dict[str, Any]) -> str:
    """A trade as ``jdp_response`` holds it."""
    return json.dumps({"trade_fullinfo_get_response": {"trade": record}}, ensure_ascii=False)


def wrapped_refund(record: dict[str, Any]) -> str:
    return json.dumps({"refund_get_response": {"refund": record}}, ensure_ascii=False)


def trade_row(
    tid: int, response: str | None, pushed: str = NOON, seller: str = SELLER
) -> tuple[Any, ...]:
    """A row of jdp_tb_trade."""
    times = ("2017-10-01 10:00:00", "2017-10-01 10:05:00")
    state = ("WAIT_SELLER_SEND_GOODS", "fixed")
    return (tid, *state, seller, "s**9", *times, "1", response, pushed, pushed)


def refund_row(refund_id: int, response: str, pushed: str = NOON) -> tuple[Any, ...]:
    """A row of jdp_tb_refund."""
    head = (refund_id, SELLER, "s**9", "SUCCESS", "2017-10-01 10:00:00", 1, 1)
    return (*head, "2017-10-01 10:05:00", "1", response, pushed, pushed)


def push_trades(database: PushDatabase, rows: Iterable[tuple[Any, ...]]) -> None:
    with closing(database.connect()) as connection:
        upsert(connection, "jdp_tb_trade", TRADE_COLUMNS, rows)


def push_refunds(database: PushDatabase, rows: Iterable[tuple[Any, ...]]) -> None:
    with closing(database.connect()) as connection:
        upsert(connection, "jdp_tb_refund", REFUND_COLUMNS, rows)


def run_sql(database: PushDatabase, *statements: str) -> list[tuple[Any, ...]]:
    """What the last of some statements gives."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
        return list(cursor.fetchall())


def access_to(database: PushDatabase, **changes: Any) -> RdsAccess:
    parts = {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
        "seller_nick": SELLER,
    }
    return RdsAccess(**{**parts, **changes})


def client_of(
    database: PushDatabase,
    *,
    page_rows: int = 5_000,
    sleep: Callable[[float], None] | None = None,
    policy: RetryPolicy | None = None,
    **changes: Any,
) -> RdsClient:
    return RdsClient(
        access_to(database, **changes),
        page_rows=page_rows,
        sleep=sleep or Sleeper(),
        policy=policy,
        timeout_seconds=20.0,
    )

"""A gateway in memory that answers like the platform, one list, with faults on request."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx

from regulars.sources.calling import RetryPolicy
from regulars.sources.taobao_top.auth import TopCredentials
from regulars.sources.taobao_top.client import TopClient

CREDENTIALS = TopCredentials(
    "http://gateway.test/router/rest", "app", "the-app-secret", "the-session"
)
MACHINE_NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ORDERS = "taobao.trades.sold.increment.get"
REFUNDS = "taobao.refunds.receive.get"

Answer = httpx.Response | Exception | dict[str, Any]


def envelope(method: str, body: dict[str, Any]) -> dict[str, Any]:
    return {method.removeprefix("taobao.").replace(".", "_") + "_response": body}


def refusal(code: int, sub_code: str = "", sub_msg: str = "") -> dict[str, Any]:
    error = {"code": code, "msg": "some text", "sub_code": sub_code, "sub_msg": sub_msg}
    return {"error_response": {name: value for name, value in error.items() if value}}


class Sleeper:
    """Remembers what was waited for, and waits for nothing."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def client_for(
    answer: Callable[[dict[str, str]], Answer],
    sleeper: Sleeper | None = None,
    credentials: TopCredentials = CREDENTIALS,
    policy: RetryPolicy | None = None,
) -> TopClient:
    """A client whose calls ``answer`` answers: a JSON object, a response, or an exception."""

    def handle(request: httpx.Request) -> httpx.Response:
        given = answer(dict(parse_qsl(request.content.decode(), keep_blank_values=True)))
        if isinstance(given, Exception):
            raise given
        if isinstance(given, httpx.Response):
            return given
        return httpx.Response(200, content=json.dumps(given))

    return TopClient(
        credentials,
        transport=httpx.MockTransport(handle),
        sleep=sleeper or Sleeper(),
        machine_now=lambda: MACHINE_NOW,
        policy=policy,
    )


class ListGateway:
    """Serves a list page by page, newest first; remembers the calls."""

    def __init__(self, records: list[Any], path: tuple[str, str] = ("trades", "trade")) -> None:
        self.records = records
        self.path = path
        self.calls: list[dict[str, str]] = []
        self.poison: set[int] = set()
        """Indexes that make every page holding them unreadable."""

    def __call__(self, parameters: dict[str, str]) -> Answer:
        self.calls.append(parameters)
        size, number = int(parameters["page_size"]), int(parameters["page_no"])
        assert 1 <= size <= 100
        start = (number - 1) * size
        is_count = parameters["fields"].count(",") == 1
        if not is_count and self.poison & set(range(start, start + size)):
            return httpx.Response(200, content=b'{"trades_sold_incre')
        outer, inner = self.path
        page = self.records[start : start + size]
        body: dict[str, Any] = {"total_results": len(self.records), "request_id": "r"}
        if page:
            body[outer] = {inner: page}
        return envelope(parameters["method"], body)

    @property
    def pages(self) -> list[tuple[int, int]]:
        """Number and size of each page asked for, the count left out."""
        return [(int(call["page_no"]), int(call["page_size"])) for call in self.calls[1:]]


def trade(number: int, **changes: Any) -> dict[str, Any]:
    """A paid trade of one line, as the platform writes it."""
    record = {
        "tid": 9007199254740993000 + number,
        "status": "WAIT_SELLER_SEND_GOODS",
        "type": "fixed",
        "created": "2017-10-01 10:00:00",
        "modified": "2017-10-01 10:05:00",
        "pay_time": "2017-10-01 10:05:00",
        "buyer_open_uid": "AA055DRD8VJfx2cLZKxcNqRA",
        "buyer_nick": "s**9",
        "payment": "12.30",
        "total_fee": "12.30",
        "receiver_mobile": "*******0926",
        "orders": {
            "order": [
                {
                    "oid": 9007199254740993000 + number,
                    "num_iid": 42,
                    "num": 2,
                    "price": "6.15",
                    "payment": "12.30",
                    "divide_order_fee": "12.30",
                    "status": "WAIT_SELLER_SEND_GOODS",
                    "refund_status": "NO_REFUND",
                }
            ]
        },
    }
    return {**record, **changes}

"""Calls to Pinduoduo's gateway, signed here by hand, for its tests."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import orjson

from regulars.credentials import Credentials
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.pdd import FIRST_REFRESH_TOKEN, PddGateway
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS
from regulars.sources.pdd_open.auth import pdd_credentials
from regulars.sources.pdd_open.client import PddClient
from tests.sources.gateway import Sleeper

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
MACHINE = 1_795_233_600
ORDERS = "pdd.order.number.list.increment.get"
REFUNDS = "pdd.refund.list.increment.get"


def unix(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp())


START, END = unix("2017-10-01 18:00:00"), unix("2017-10-01 18:30:00")
WINDOW: dict[str, Any] = {
    "start_updated_at": START,
    "end_updated_at": END,
    "order_status": 5,
    "refund_status": 5,
    "is_lucky_flag": 0,
    "page": 1,
}
REFUND_WINDOW: dict[str, Any] = {
    "start_updated_at": START,
    "end_updated_at": END,
    "after_sales_type": 1,
    "after_sales_status": 10,
}


def gateway(book: OrderBook, now: datetime = NOW, **options: Any) -> PddGateway:
    """A gateway that checks timestamps against a machine that stands at MACHINE."""
    options = {"machine_seconds": lambda: MACHINE, "elapsed": lambda: 0.0, **options}
    return PddGateway(book, TEST_ACCESS, ShopClock(now), **options)


def signed(method: str, business: dict[str, Any], **changes: Any) -> dict[str, str]:
    """Parameters of a call; ``changes`` replace system parameters (None leaves one out)."""
    secret = changes.pop("secret", TEST_ACCESS.app_secret)
    given = {
        "type": method,
        "client_id": TEST_ACCESS.app_key,
        "access_token": TEST_ACCESS.session,
        "timestamp": MACHINE,
        "data_type": "JSON",
        **business,
        **changes,
    }
    parameters = {name: str(value) for name, value in given.items() if value is not None}
    text = "".join(f"{name}{parameters[name]}" for name in sorted(parameters) if name != "sign")
    data = f"{secret}{text}{secret}".encode()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest().upper()
    return {"sign": digest, **parameters}


def call(shop: PddGateway, method: str, business: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The whole JSON answer to a form call."""
    form = httpx.QueryParams(signed(method, business, **changes))
    answer = shop.answer("", str(form).encode())
    assert answer.status == 200
    body: dict[str, Any] = orjson.loads(answer.body)
    return body


def code_of(answer: dict[str, Any]) -> int:
    code: int = answer["error_response"]["error_code"]
    return code


def listed(shop: PddGateway, **changes: Any) -> dict[str, Any]:
    """One page of the orders updated in the usual window."""
    body: dict[str, Any] = call(shop, ORDERS, {**WINDOW, **changes})[
        "order_sn_increment_get_response"
    ]
    return body


def connection(host: str = "http://pdd.test", **extra: str) -> Credentials:
    """The shop's connection to the sandbox."""
    return Credentials(
        "north_pdd",
        host=host,
        login=TEST_ACCESS.app_key,
        password=TEST_ACCESS.app_secret,
        extra={
            "access_token": TEST_ACCESS.session,
            "refresh_token": FIRST_REFRESH_TOKEN,
            **extra,
        },
    )


def client_of(
    shop: PddGateway,
    sleeper: Callable[[float], None] | None = None,
    credentials: Credentials | None = None,
    elapsed: Callable[[], float] | None = None,
) -> PddClient:
    """The source's client, its calls answered by ``shop`` without a network."""

    def handle(request: httpx.Request) -> httpx.Response:
        content_type = request.headers["Content-Type"]
        answer = shop.answer(request.url.query.decode(), request.content, content_type)
        return httpx.Response(answer.status, content=answer.body, headers=answer.headers)

    moment = datetime.fromtimestamp(MACHINE, PLATFORM_ZONE)
    ticks = iter(range(10**9))
    return PddClient(
        pdd_credentials(credentials or connection()),
        transport=httpx.MockTransport(handle),
        sleep=sleeper or Sleeper(),
        # Slow enough never to be paced.
        elapsed=elapsed or (lambda: float(next(ticks))),
        machine_now=lambda: moment,
    )

"""Pinduoduo's gateway in memory, one list, with faults on request."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx

from regulars.sources.calling import RetryPolicy
from regulars.sources.pdd_open.auth import PddCredentials
from regulars.sources.pdd_open.client import RESPONSE_KEYS, PddClient, RenewedTokens
from tests.sources.gateway import Answer, Sleeper

CREDENTIALS = PddCredentials(
    "http://gateway.test/api/router", "the-client", "the-secret", "token-1", "refresh-1"
)
MACHINE_NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ORDERS = "pdd.order.number.list.increment.get"
REFUNDS = "pdd.refund.list.increment.get"
REFRESH = "pdd.pop.auth.token.refresh"


def envelope(method: str, body: dict[str, Any]) -> dict[str, Any]:
    return {RESPONSE_KEYS[method]: body}


def refusal(code: int, message: str = "some text") -> dict[str, Any]:
    """As the platform's documentation shows it."""
    return {
        "error_response": {
            "error_msg": message,
            "sub_msg": "",
            "sub_code": None,
            "error_code": code,
            "request_id": "15440104776643887",
        }
    }


class Still:
    """A clock that stands; pacing then waits as if every call came at once."""

    def __call__(self) -> float:
        return 0.0


def client_for(
    answer: Callable[[dict[str, str]], Answer],
    sleeper: Sleeper | None = None,
    credentials: PddCredentials = CREDENTIALS,
    policy: RetryPolicy | None = None,
    elapsed: Callable[[], float] | None = None,
    remember: Callable[[RenewedTokens], None] = lambda _: None,
) -> PddClient:
    """A client whose calls ``answer`` answers: a JSON object, a response, or an exception."""

    def handle(request: httpx.Request) -> httpx.Response:
        given = answer(dict(parse_qsl(request.content.decode(), keep_blank_values=True)))
        if isinstance(given, Exception):
            raise given
        if isinstance(given, httpx.Response):
            return given
        return httpx.Response(200, content=json.dumps(given))

    return PddClient(
        credentials,
        remember=remember,
        transport=httpx.MockTransport(handle),
        sleep=sleeper or Sleeper(),
        elapsed=elapsed or Still(),
        machine_now=lambda: MACHINE_NOW,
        policy=policy,
    )


class ListGateway:
    """Serves a list page by page, newest first; remembers the calls."""

    def __init__(self, records: list[Any], list_name: str = "order_sn_list") -> None:
        self.records = records
        self.list_name = list_name
        self.calls: list[dict[str, str]] = []
        self.poison: set[int] = set()
        """Indexes that make every page holding them unreadable; the first call counts."""

    def __call__(self, parameters: dict[str, str]) -> Answer:
        self.calls.append(parameters)
        size, number = int(parameters["page_size"]), int(parameters["page"])
        assert 1 <= size <= 100
        shown = self.records
        if "after_sales_status" in parameters:
            wanted = int(parameters["after_sales_status"])
            shown = [one for one in shown if one["after_sales_status"] == wanted]
        start = (number - 1) * size
        if len(self.calls) > 1 and self.poison & set(range(start, start + size)):
            return httpx.Response(200, content=b'{"order_sn_incre')
        body = {
            "total_count": len(shown),
            "request_id": "r",
            self.list_name: shown[start : start + size],
        }
        return envelope(parameters["type"], body)


def order(number: int, **changes: Any) -> dict[str, Any]:
    """A paid order of one item, as the platform writes it."""
    record = {
        "order_sn": f"171001-{355530178612389 + number}",
        "order_status": 1,
        "confirm_status": 1,
        "group_status": 1,
        "refund_status": 1,
        "after_sales_status": 0,
        "risk_control_status": 0,
        "trade_type": 0,
        "created_time": "2017-10-01 10:00:00",
        "pay_time": "2017-10-01 10:05:00",
        "confirm_time": "2017-10-01 10:05:00",
        "shipping_time": "",
        "receive_time": "",
        "updated_at": "2017-10-01 10:05:00",
        "goods_amount": 13.2,
        "discount_amount": "0.90",
        "postage": 0,
        "pay_amount": "12.30",
        "receiver_phone": "~AgAAAAHcQ0uGb2c1~1~",
        "step_order_info": None,
        "item_list": [
            {
                "goods_id": 863369485,
                "sku_id": 13182332985,
                "goods_name": "红茶",
                "goods_price": 6.6,
                "goods_count": 2,
            }
        ],
    }
    return {**record, **changes}


def refund(number: int, **changes: Any) -> dict[str, Any]:
    """A refund that succeeded, as the platform writes it."""
    record = {
        "id": 301851299 + number,
        "order_sn": f"171001-{355530178612389 + number}",
        "after_sales_status": 10,
        "after_sales_type": 2,
        "after_sale_reason": "不想要了",
        "refund_amount": "8.00",
        "order_amount": "8.00",
        "sku_id": "13182332985",
        "goods_id": 863369485,
        "goods_number": "1",
        "created_time": "2017-10-01 10:00:00",
        "updated_time": "2017-10-01 10:05:00",
    }
    return {**record, **changes}

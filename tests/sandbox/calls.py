"""Calls a sandbox shop without HTTP, signed as a client would."""

from datetime import datetime
from typing import Any

import orjson

from regulars.sandbox.protocol import PLATFORM_ZONE, envelope_name, signature
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.shop import Answer, SandboxShop

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
INCREMENT = "taobao.trades.sold.increment.get"
SOLD = "taobao.trades.sold.get"
FULL = "taobao.trade.fullinfo.get"
REFUNDS = "taobao.refunds.receive.get"
REFUND = "taobao.refund.get"
SUNDAY = {"start_modified": "2017-10-01 00:00:00", "end_modified": "2017-10-01 23:59:59"}


def signed(method: str, sign_method: str = "md5", **parameters: Any) -> dict[str, str]:
    """All parameters of one call, strings, with a signature over them."""
    call = {
        "method": method,
        "app_key": TEST_ACCESS.app_key,
        "session": TEST_ACCESS.session,
        "timestamp": "2026-11-21 12:00:00",
        "v": "2.0",
        "format": "json",
        "sign_method": sign_method,
        **{name: str(value) for name, value in parameters.items()},
    }
    return {**call, "sign": signature(call, TEST_ACCESS.app_secret, sign_method)}


def answered(shop: SandboxShop, method: str, **parameters: Any) -> Answer:
    return shop.answer(signed(method, **parameters))


def ask(shop: SandboxShop, method: str, **parameters: Any) -> dict[str, Any]:
    """The content of the success envelope."""
    body = orjson.loads(answered(shop, method, **parameters).body)
    assert "error_response" not in body, body
    content: dict[str, Any] = body[envelope_name(method)]
    return content


def refused(shop: SandboxShop, method: str, **parameters: Any) -> dict[str, Any]:
    """The error envelope's content; errors come with HTTP status 200."""
    answer = answered(shop, method, **parameters)
    assert answer.status == 200
    error: dict[str, Any] = orjson.loads(answer.body)["error_response"]
    return error


def trades(content: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content.get("trades", {}).get("trade", [])
    return found


def refunds(content: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content.get("refunds", {}).get("refund", [])
    return found

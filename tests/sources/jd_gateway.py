"""JD's gateway in memory for tests of the source: one answer after the other, or a list."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx

from regulars.sources.calling import RetryPolicy
from regulars.sources.jd_jos.auth import BUSINESS_PARAMETER, JdCredentials, Token
from regulars.sources.jd_jos.client import JdClient
from regulars.sources.jd_jos.orders import METHOD as ORDERS
from tests.sources.gateway import Sleeper

CREDENTIALS = JdCredentials(
    "http://gateway.test/routerjson",
    "http://gateway.test/oauth2/refresh_token",
    "app",
    "the-app-secret",
    Token("the-token", "the-refresh"),
)
MACHINE_NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)

Answer = httpx.Response | Exception | dict[str, Any]


def envelope(method: str, body: dict[str, Any]) -> dict[str, Any]:
    return {method.replace(".", "_") + "_responce": {"code": "0", **body}}


def refusal(code: int | str) -> dict[str, Any]:
    return {"error_response": {"code": str(code), "zh_desc": "某", "en_desc": "some text"}}


def bare(code: int | str) -> dict[str, Any]:
    return {"code": str(code), "errorMessage": "some text"}


def found(
    records: Any, total: Any, success: Any = True, number: str = "0", method: str = ORDERS
) -> dict[str, Any]:
    """The answer to a search."""
    verdict = {"success": success, "numberCode": number, "chineseErrCode": "某"}
    result = {"apiResult": verdict, "orderTotal": total, "orderInfoList": records}
    return envelope(method, {"searchorderinfo_result": result})


def business(call: dict[str, str]) -> dict[str, Any]:
    """The method's own parameters of a call."""
    value: dict[str, Any] = json.loads(call[BUSINESS_PARAMETER])
    return value


def client_for(
    answer: Callable[[dict[str, str]], Answer],
    sleeper: Sleeper | None = None,
    credentials: JdCredentials = CREDENTIALS,
    policy: RetryPolicy | None = None,
    machine_now: Callable[[], datetime] = lambda: MACHINE_NOW,
    remember: Callable[[Token], None] = lambda _: None,
) -> JdClient:
    """A client whose calls ``answer`` answers: a JSON object, a response, or an exception."""

    def handle(request: httpx.Request) -> httpx.Response:
        call = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        given = answer({**call, "_path": request.url.path})
        if isinstance(given, Exception):
            raise given
        if isinstance(given, httpx.Response):
            return given
        return httpx.Response(200, content=json.dumps(given))

    return JdClient(
        credentials,
        remember=remember,
        transport=httpx.MockTransport(handle),
        sleep=sleeper or Sleeper(),
        machine_now=machine_now,
        policy=policy,
    )


class Script:
    """Gives the answers one after the other, the last one for ever; remembers the calls."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, str]] = []

    def __call__(self, call: dict[str, str]) -> Answer:
        self.calls.append(call)
        return self.answers[min(len(self.calls), len(self.answers)) - 1]


class ListGateway:
    """Serves a list of orders page by page; remembers what was asked for."""

    def __init__(self, records: list[Any]) -> None:
        self.records = records
        self.asked: list[dict[str, Any]] = []
        self.beyond: dict[str, Any] | None = None
        """The answer to pages beyond the end, instead of an empty list with the total."""
        self.poison: set[int] = set()
        """Indexes that make every page holding them unreadable."""

    def __call__(self, call: dict[str, str]) -> Answer:
        asked = business(call)
        self.asked.append(asked)
        size, number = int(asked["page_size"]), int(asked["page"])
        assert 1 <= size <= 100
        start = (number - 1) * size
        is_count = asked["optional_fields"].count(",") == 1
        if not is_count and self.poison & set(range(start, start + size)):
            return httpx.Response(200, content=b'{"jingdong_pop_or')
        if start >= len(self.records) and number > 1 and self.beyond is not None:
            return self.beyond
        return found(self.records[start : start + size], len(self.records))

    @property
    def pages(self) -> list[tuple[int, int]]:
        """Number and size of each page asked for, the counts left out."""
        return [
            (int(asked["page"]), int(asked["page_size"]))
            for asked in self.asked
            if asked["optional_fields"].count(",") != 1
        ]


def order(number: int, **changes: Any) -> dict[str, Any]:
    """A paid order of one line, as the platform writes it."""
    record = {
        "orderId": str(298_000_000_000 + number),
        "orderState": "WAIT_SELLER_STOCK_OUT",
        "orderStartTime": "2017-10-01 10:00:00",
        "orderEndTime": "0001-01-01 00:00:00",
        "paymentConfirmTime": "2017-10-01 10:05:00",
        "modified": "2017-10-01 10:05:00",
        "orderTotalPrice": "12.30",
        "orderSellerPrice": "12.30",
        "orderPayment": "12.30",
        "open_id_buyer": "oJdBuyer",
        "xid_buyer": "o*Buyer",
        "consigneeInfo": {"fullname": "王**", "mobile": "*******0926", "province": "上海"},
        "itemInfoList": [{"skuId": "10020000000042", "itemTotal": "2", "jdPrice": "6.15"}],
    }
    return {**record, **changes}

"""Douyin's gateway in memory, with faults on request, and records as it writes them."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from regulars.sources.calling import RetryPolicy
from regulars.sources.doudian_open.auth import DoudianCredentials
from regulars.sources.doudian_open.client import DoudianClient, Tokens
from tests.sources.gateway import Sleeper

CREDENTIALS = DoudianCredentials(
    "http://gateway.test", "app", "the-app-secret", "4711", "the-token", "the-refresh-token"
)
MACHINE_NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
ORDERS, REFUNDS, DETAIL = "order.searchList", "afterSale.List", "afterSale.Detail"
CREATE, REFRESH = "token.create", "token.refresh"
ID = 6_900_000_000_000_000_000

Answer = httpx.Response | Exception | dict[str, Any]


class Call:
    """One call as it arrived."""

    def __init__(self, request: httpx.Request) -> None:
        self.path = request.url.path
        self.query = dict(request.url.params)
        self.headers = request.headers
        self.body = request.content.decode()
        self.parameters: dict[str, Any] = json.loads(self.body)

    @property
    def method(self) -> str:
        return self.query["method"]


def good(data: Any) -> dict[str, Any]:
    return {"code": 10000, "msg": "success", "sub_code": "", "log_id": "1", "data": data}


def refusal(code: int, sub_code: str = "", sub_msg: str = "") -> dict[str, Any]:
    return {"code": code, "msg": "some text", "sub_code": sub_code, "sub_msg": sub_msg}


def tokens(access: str, refresh: str = "next-refresh", shop_id: Any = 4711) -> dict[str, Any]:
    data = {"access_token": access, "refresh_token": refresh, "expires_in": 604800}
    return good({**data, "shop_id": shop_id, "shop_name": "Demo"})


class Script:
    """Gives the answers one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> Answer:
        self.calls.append(call)
        return self.answers[min(len(self.calls), len(self.answers)) - 1]

    @property
    def methods(self) -> list[str]:
        return [call.method for call in self.calls]


def client_for(
    answer: Callable[[Call], Answer],
    sleeper: Sleeper | None = None,
    policy: RetryPolicy | None = None,
    remember: Callable[[Tokens], None] = lambda _: None,
    **credentials: str,
) -> DoudianClient:
    """A client whose calls ``answer`` answers; ``credentials`` replace parts of CREDENTIALS."""

    def handle(request: httpx.Request) -> httpx.Response:
        given = answer(Call(request))
        if isinstance(given, Exception):
            raise given
        if isinstance(given, httpx.Response):
            return given
        return httpx.Response(200, content=json.dumps(given))

    return DoudianClient(
        replace(CREDENTIALS, **credentials),
        remember=remember,
        transport=httpx.MockTransport(handle),
        sleep=sleeper or Sleeper(),
        machine_now=lambda: MACHINE_NOW,
        policy=policy,
    )


class ListGateway:
    """Serves one list page by page, newest first; remembers the calls.

    ``poison`` holds indexes that make every page with them unreadable, ``between`` is called
    after each page, ``details`` answers afterSale.Detail.
    """

    def __init__(self, records: list[Any], items: str = "shop_order_list") -> None:
        self.records = records
        self.items = items
        self.calls: list[Call] = []
        self.poison: set[int] = set()
        self.between: Callable[[], None] = lambda: None
        self.details: Callable[[str], Answer] = lambda _: refusal(50002)

    def __call__(self, call: Call) -> Answer:
        self.calls.append(call)
        if call.method == DETAIL:
            return self.details(call.parameters["after_sale_id"])
        page, size = call.parameters["page"], call.parameters["size"]
        assert page >= 0
        assert 1 <= size <= 100
        assert page * size <= 50_000
        found = self.within(call.parameters)
        start = page * size
        if self.poison & set(range(start, start + size)):
            return httpx.Response(200, content=b'{"code": 10000, "data": {"shop_ord')
        answer = good({"page": page, "size": size, "total": len(found)})
        answer["data"][self.items] = found[start : start + size]
        self.between()
        return answer

    def within(self, parameters: dict[str, Any]) -> list[Any]:
        low, high = sorted(v for name, v in parameters.items() if name.startswith("update_"))
        return [
            one for one in self.records if not isinstance(one, dict) or low <= modified(one) <= high
        ]

    @property
    def pages(self) -> list[tuple[int, int]]:
        """Page and size of each page asked for, the count left out."""
        asked = [call.parameters for call in self.calls if "page" in call.parameters]
        return [(one["page"], one["size"]) for one in asked[1:]]


def modified(record: dict[str, Any]) -> int:
    """When a native record of either stream was modified, unix seconds."""
    seconds: int = record.get("aftersale_info", record)["update_time"]
    return seconds


def line(number: int, position: int = 1, **changes: Any) -> dict[str, Any]:
    """A line as the platform writes it, shortened to what matters."""
    record = {
        "order_id": str(ID + number * 100 + position),
        "parent_order_id": str(ID + number * 100),
        "product_id": 3_500_000_000_000_000_001,
        "product_id_str": "3500000000000000001",
        "sku_id": 1_700_000_000_000_001,
        "product_name": "茶 🍵",
        "spec": [{"name": "颜色", "value": "红"}, {"name": "尺码", "value": "M"}],
        "item_num": 2,
        "origin_amount": 1000,
        "sum_amount": 2000,
        "order_amount": 2000,
        "pay_amount": 1800,
        "promotion_amount": 200,
        "promotion_platform_amount": 200,
        "author_id": 98_000_000_000_001,
        "author_name": "主播",
        "room_id": 7_000_000_000_000_000_001,
        "video_id": "",
        "c_biz": 2,
        "c_biz_desc": "精选联盟",
        "post_tel": "",
        "encrypt_post_tel": "$abc$1$",
        "mask_post_tel": "1********26",
        "after_sale_info": {"after_sale_status": 0, "after_sale_type": 0, "refund_status": 0},
        "master_sku_order_id_list": [],
        "store_info": {"store_id": "88", "store_name": "店", "store_tel": "021-555"},
    }
    return {**record, **changes}


def order(number: int, update_time: int = 1_506_873_600, **changes: Any) -> dict[str, Any]:
    """A paid order of one line, as the platform writes it."""
    place = {"province": {"name": "上海", "id": "31"}, "city": {"name": "上海市", "id": "310100"}}
    record = {
        "order_id": str(ID + number * 100),
        "shop_id": 4711,
        "order_status": 2,
        "order_status_desc": "备货中",
        "create_time": 1_506_870_000,
        "update_time": update_time,
        "pay_time": 1_506_870_060,
        "finish_time": 0,
        "doudian_open_id": "1@#C+4xqqdZ/l1IOzT+==",
        "order_amount": 2000,
        "pay_amount": 1800,
        "post_amount": 0,
        "promotion_amount": 200,
        "promotion_platform_amount": 200,
        "total_promotion_amount": 200,
        "post_tel": "",
        "post_receiver": "",
        "encrypt_post_tel": "$abc$1$",
        "encrypt_post_receiver": "##abc##",
        "mask_post_tel": "1********26",
        "mask_post_receiver": "王*",
        "post_addr": {**place, "detail": "", "encrypt_detail": "##d##"},
        "mask_post_addr": {**place, "detail": "中山路**号"},
        "user_id_info": {"id_card_no": "310", "encrypt_id_card_no": "##i##"},
        "user_coordinate": {"user_coordinate_longitude": "121.5"},
        "sku_order_list": [line(number)],
    }
    return {**record, **changes}


def aftersale(number: int, update_time: int = 1_506_873_600, **changes: Any) -> dict[str, Any]:
    """A request for a refund, as the platform lists it; ``changes`` go into aftersale_info."""
    info = {
        "aftersale_id": str(ID + number),
        "aftersale_order_type": 1,
        "aftersale_type": 1,
        "aftersale_status": 6,
        "related_id": str(ID + number * 100 + 1),
        "apply_time": 1_506_873_000,
        "create_time": 1_506_873_000,
        "update_time": update_time,
        "refund_amount": 1800,
        "refund_post_amount": 0,
        "refund_status": 1,
        "part_type": 0,
    }
    return {
        "aftersale_info": {**info, **changes},
        "order_info": {
            "shop_order_id": str(ID + number * 100),
            "related_order_info": [
                {"sku_order_id": str(ID + number * 100 + 1), "pay_amount": 1800, "tags": []}
            ],
        },
        "text_part": {"reason_text": "不想要了 😀", "aftersale_status_text": "待商家同意"},
        "seller_logs": [{"op_name": "somebody", "content": "x"}],
    }


def detail(number: int, real: int) -> dict[str, Any]:
    """The answer of afterSale.Detail."""
    info = {"after_sale_id": ID + number, "refund_status": 3, "real_refund_amount": real}
    return good({"process_info": {"after_sale_info": info}, "order_info": {}})

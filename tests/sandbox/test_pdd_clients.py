"""A client that others wrote signs and pages against Pinduoduo's gateway over HTTP."""

from collections.abc import Iterator
from typing import Any

import pdd_sdk
import pytest
from pdd_sdk.api.base import DdkException, RestApi

from regulars.sandbox.book import OrderBook
from regulars.sandbox.platforms.pdd import PddFaults, PddGateway
from regulars.sandbox.server import TEST_ACCESS, PlatformServer
from tests.sandbox.pdd_calls import END, ORDERS, REFUNDS, START, WINDOW, gateway


@pytest.fixture(scope="module")
def server() -> Iterator[PlatformServer]:
    shop = gateway(OrderBook.sample(households=250), machine_seconds=None)
    with PlatformServer(shop) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults(server: PlatformServer) -> Iterator[None]:
    yield
    shop_of(server).replace_faults(PddFaults())


def shop_of(server: PlatformServer) -> PddGateway:
    shop = server.gateway
    assert isinstance(shop, PddGateway)
    return shop


def send(
    server: PlatformServer,
    method: str,
    business: dict[str, Any],
    secret: str = TEST_ACCESS.app_secret,
) -> dict[str, Any]:
    """Call through pdd-sdk, whose own requests are the affiliates'; its base takes any API."""

    class Request(RestApi):  # type: ignore[misc]
        def getapiname(self) -> str:
            return method

    request = Request("127.0.0.1", server.port)
    request.set_app_info(pdd_sdk.appinfo(TEST_ACCESS.app_key, secret))
    # It would send a token as `session`, which this platform does not know.
    for name, value in {"access_token": shop_of(server).access_token, **business}.items():
        setattr(request, name, value)
    answer: dict[str, Any] = request.getResponse()
    return answer


def test_pdd_sdk_signs_and_pages_from_the_last_page(server: PlatformServer) -> None:
    key = "order_sn_increment_get_response"
    total = send(server, ORDERS, {**WINDOW, "page_size": 3})[key]["total_count"]
    sns = [
        one["order_sn"]
        for page in range(-(-total // 3), 0, -1)
        for one in send(server, ORDERS, {**WINDOW, "page": page, "page_size": 3})[key][
            "order_sn_list"
        ]
    ]
    assert len(set(sns)) == len(sns) == total > 3


def test_pdd_sdk_signs_chinese_and_reads_refunds(server: PlatformServer) -> None:
    asked = {
        "start_updated_at": START,
        "end_updated_at": END,
        "after_sales_type": 1,
        "after_sales_status": 10,
        "note": "红茶 & 绿茶=1+1😀",
    }
    body = send(server, REFUNDS, asked)["refund_increment_get_response"]
    assert body["total_count"] == len(body["refund_list"])


def test_pdd_sdk_is_told_that_its_secret_is_wrong(server: PlatformServer) -> None:
    with pytest.raises(DdkException) as raised:
        send(server, ORDERS, WINDOW, secret="another secret")
    assert raised.value.submsg == "签名sign校验失败"


def test_pdd_sdk_writes_booleans_in_upper_case_and_is_refused(server: PlatformServer) -> None:
    with pytest.raises(DdkException) as raised:
        send(server, ORDERS, {**WINDOW, "use_has_next": True})
    assert raised.value.subcode == "21001"


def test_pdd_sdk_gets_throttled(server: PlatformServer) -> None:
    shop_of(server).replace_faults(PddFaults(too_often=1))
    with pytest.raises(DdkException) as raised:
        send(server, ORDERS, WINDOW)
    assert raised.value.subcode == "70031"
    assert send(server, ORDERS, WINDOW)

"""jd-sdk, which others wrote, signs, searches and is refused against the gateway over HTTP."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import jd
import pytest
from jd.api.base import RestApi

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.jd import Faults, Gateway
from regulars.sandbox.protocol import PLATFORM_ZONE, Access
from regulars.sandbox.server import PlatformServer

ACCESS = Access("sandbox", "sandbox-secret", "sandbox-token")
NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)


class Call(RestApi):  # type: ignore[misc]
    """Any method with any parameters; the SDK ships classes for few of a merchant's."""

    def __init__(self, name: str, port: int, **parameters: Any) -> None:
        RestApi.__init__(self, "127.0.0.1", port)
        self._name = name
        self.parameters = parameters

    def getapiname(self) -> str:
        return self._name

    def getApplicationParameters(self) -> dict[str, Any]:  # noqa: N802  # the SDK's own name
        return self.parameters


@pytest.fixture(scope="module")
def server() -> Iterator[PlatformServer]:
    gateway = Gateway(OrderBook.sample(households=60), ACCESS, ShopClock(NOW))
    with PlatformServer(gateway) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults(server: PlatformServer) -> Iterator[None]:
    yield
    server.gateway.replace_faults(Faults())  # type: ignore[attr-defined]


def send(
    server: PlatformServer, name: str, secret: str = ACCESS.app_secret, **parameters: Any
) -> dict[str, Any]:
    request = Call(name, server.port, **parameters)
    request.set_app_info(jd.appinfo(ACCESS.app_key, secret))
    answer: dict[str, Any] = request.getResponse(ACCESS.session)
    return answer


def search(server: PlatformServer, page: int, size: int = 9) -> dict[str, Any]:
    answer = send(
        server,
        "jingdong.pop.order.search",
        start_date="2017-09-25 00:00:00",
        end_date="2017-10-01 23:59:59",
        order_state="ALL",
        optional_fields="orderId,modified,itemInfoList",
        page=str(page),
        page_size=str(size),
        source_id="JOS",
    )
    result: dict[str, Any] = answer["jingdong_pop_order_search_responce"]["searchorderinfo_result"]
    return result


def test_it_signs_and_pages_from_the_last_page(server: PlatformServer) -> None:
    total = search(server, 1)["orderTotal"]
    numbers = [
        one["orderId"]
        for page in range(-(-total // 9), 0, -1)
        for one in search(server, page)["orderInfoList"]
    ]
    assert len(set(numbers)) == len(numbers) == total > 40


def test_it_reads_an_order_and_a_refund(server: PlatformServer) -> None:
    listed = send(
        server,
        "jingdong.asc.serviceAndRefund.view",
        applyTimeBegin="2017-09-22 00:00:00",
        applyTimeEnd="2017-09-29 00:00:00",
        pageNumber=1,
        pageSize=50,
    )["jingdong_asc_serviceAndRefund_view_responce"]["pageResult"]
    bill = listed["data"][0]["sameOrderServiceBill"]
    refund = send(
        server, "jingdong.b2c.shop.aftersales.refund.get", afsServiceId=bill["serviceId"]
    )["jingdong_b2c_shop_aftersales_refund_get_responce"]["result"]
    assert refund["data"]["orderId"] == bill["orderId"]
    found = send(
        server,
        "jingdong.pop.order.get",
        order_id=bill["orderId"],
        optional_fields="orderId,itemInfoList",
    )["jingdong_pop_order_get_responce"]["orderDetailInfo"]["orderInfo"]
    assert found["orderId"] == str(bill["orderId"])
    assert str(bill["wareId"]) in {item["skuId"] for item in found["itemInfoList"]}


def test_it_is_told_that_its_secret_is_wrong(server: PlatformServer) -> None:
    answer = send(server, "jingdong.pop.order.search", secret="another secret")
    assert answer["error_response"]["code"] == "12"


def test_it_is_told_that_its_token_expired(server: PlatformServer) -> None:
    server.gateway.replace_faults(Faults(token_expired=1))  # type: ignore[attr-defined]
    answer = send(server, "jingdong.pop.order.search")
    assert answer["error_response"]["code"] == "19"

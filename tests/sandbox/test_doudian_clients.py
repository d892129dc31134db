"""An independent client from PyPI makes tokens, signs and pages against the gateway over HTTP."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from doudian import AppType, DouDian

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.doudian import SHOP_ID, Faults, Gateway
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS, PlatformServer

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
SUNDAY = {"update_time_start": 1_506_787_200, "update_time_end": 1_506_873_599}


@pytest.fixture(scope="module")
def server() -> Iterator[PlatformServer]:
    gateway = Gateway(OrderBook.sample(households=60), TEST_ACCESS, ShopClock(NOW))
    with PlatformServer(gateway) as running:
        yield running


@pytest.fixture(autouse=True)
def _shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # This client stamps its calls with the machine's local time.
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def peer_of(server: PlatformServer, secret: str = TEST_ACCESS.app_secret) -> DouDian:
    """A client of an app of the shop's own; its token is made by the first call."""
    peer = DouDian(TEST_ACCESS.app_key, secret, AppType.TOOL)
    peer._gate_way = server.url
    peer._app_type, peer._shop_id = AppType.SELF, str(SHOP_ID)
    return peer


def search(peer: DouDian, page: int, size: int = 9, **changes: Any) -> dict[str, Any]:
    parameters = {**SUNDAY, "order_by": "update_time", "page": page, "size": size, **changes}
    answer: dict[str, Any] = peer.request("/order/searchList", parameters)
    return answer


def test_doudian_makes_its_token_and_pages_from_zero(server: PlatformServer) -> None:
    peer = peer_of(server)
    assert peer.init_token() is True
    total = search(peer, 0)["data"]["total"]
    numbers = [
        order["order_id"]
        for page in range(-(-total // 9))
        for order in search(peer, page)["data"]["shop_order_list"]
    ]
    assert len(numbers) == len(set(numbers)) == total > 9
    assert search(peer, -(-total // 9))["data"]["shop_order_list"] == []


def test_doudian_reads_refunds_and_what_really_went_back(server: PlatformServer) -> None:
    peer = peer_of(server)
    peer.init_token()
    listed = peer.request("/afterSale/List", {"page": 0, "size": 100})["data"]
    done = [one for one in listed["items"] if one["aftersale_info"]["refund_status"] == 3]
    assert done
    for item in done:
        number = item["aftersale_info"]["aftersale_id"]
        found = peer.request("/afterSale/Detail", {"after_sale_id": number})["data"]
        info = found["process_info"]["after_sale_info"]
        assert str(info["after_sale_id"]) == number
        assert 0 < info["real_refund_amount"] <= item["aftersale_info"]["refund_amount"]


def test_doudian_reads_one_order_and_sends_chinese_escaped(server: PlatformServer) -> None:
    peer = peer_of(server)
    peer.init_token()
    first = search(peer, 0, size=1, product="茶 🍵")["data"]["shop_order_list"][0]
    found = peer.request("/order/orderDetail", {"shop_order_id": first["order_id"]})
    assert found["data"]["shop_order_detail"] == first


def test_doudian_exchanges_the_code_of_an_authorisation_once() -> None:
    gateway = Gateway(OrderBook.sample(households=5), TEST_ACCESS, ShopClock(NOW))
    with PlatformServer(gateway) as server:
        peer = DouDian(TEST_ACCESS.app_key, TEST_ACCESS.app_secret, AppType.TOOL)
        peer._gate_way = server.url
        assert peer.init_token(gateway.tokens.first_code) is True
        assert search(peer, 0)["code"] == 10000
        assert peer.init_token(gateway.tokens.first_code) is False


def test_doudian_refreshes_its_token(server: PlatformServer) -> None:
    peer = peer_of(server)
    peer.init_token()
    before = dict(peer._token)
    peer._token["expires_in"] = 0
    assert search(peer, 0)["code"] == 10000
    assert peer._token["access_token"] != before["access_token"]
    assert peer._token["refresh_token"] != before["refresh_token"]


def test_doudian_is_told_that_its_secret_is_wrong(server: PlatformServer) -> None:
    assert peer_of(server, secret="another").init_token() is False
    peer = peer_of(server, secret="another")
    peer._token = {"access_token": TEST_ACCESS.session, "expires_in": 2**33}
    answer = search(peer, 0)
    assert (answer["code"], answer["sub_code"]) == (40003, "isv.signature-invalid")
    assert answer["err_no"] == 40003


def test_doudian_is_told_that_its_clock_is_wrong(
    server: PlatformServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = peer_of(server)
    peer.init_token()
    # Eight hours off: the gateway reads a wall clock as GMT+8.
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert search(peer, 0)["sub_code"] == "isv.timestamp-invalid"


def test_doudian_gets_throttled(server: PlatformServer) -> None:
    peer = peer_of(server)
    peer.init_token()
    gateway = server.gateway
    assert isinstance(gateway, Gateway)
    gateway.replace_faults(Faults(rate_limited=1))
    assert search(peer, 0)["code"] == 60000
    assert search(peer, 0)["code"] == 10000

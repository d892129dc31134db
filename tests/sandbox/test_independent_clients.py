"""Two clients that others wrote sign, page and get throttled against the sandbox over HTTP."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import taobaopy.taobao
import top
import top.api
from top.api.base import RestApi, TopException

from regulars.sandbox.server import SandboxServer

_FIELDS = "tid,modified,status,buyer_nick,payment,orders.oid,orders.title"
_START, _END = "2017-10-01 00:00:00", "2017-10-01 23:59:59"


@pytest.fixture(autouse=True)
def _no_faults(server: SandboxServer) -> Iterator[None]:
    yield
    server.set_faults()
    server.set_limits()


def _send(request: RestApi, server: SandboxServer, secret: str | None = None) -> dict[str, Any]:
    request.set_app_info(
        top.appinfo(server.access.app_key, server.access.app_secret if secret is None else secret)
    )
    answer: dict[str, Any] = request.getResponse(server.access.session)
    return answer


def _modified_trades(server: SandboxServer, page: int) -> dict[str, Any]:
    request = top.api.TradesSoldIncrementGetRequest("127.0.0.1", server.port)
    request.fields, request.start_modified, request.end_modified = _FIELDS, _START, _END
    request.page_no, request.page_size = page, 9
    answer: dict[str, Any] = _send(request, server)["trades_sold_increment_get_response"]
    return answer


def test_taobao_openapi_signs_with_md5_and_pages_from_the_last_page(server: SandboxServer) -> None:
    total = _modified_trades(server, 1)["total_results"]
    tids = [
        trade["tid"]
        for page in range(-(-total // 9), 0, -1)
        for trade in _modified_trades(server, page)["trades"]["trade"]
    ]
    assert len(set(tids)) == len(tids) == total


def test_taobao_openapi_reads_single_records(server: SandboxServer) -> None:
    refunds = top.api.RefundsReceiveGetRequest("127.0.0.1", server.port)
    refunds.fields = "refund_id,tid,refund_fee"
    listed = _send(refunds, server)["refunds_receive_get_response"]["refunds"]["refund"][0]
    trade = top.api.TradeFullinfoGetRequest("127.0.0.1", server.port)
    trade.fields, trade.tid = "tid,orders.refund_id", listed["tid"]
    found = _send(trade, server)["trade_fullinfo_get_response"]["trade"]
    assert found["tid"] == listed["tid"]
    refund = top.api.RefundGetRequest("127.0.0.1", server.port)
    refund.fields, refund.refund_id = "refund_id,tid,refund_fee", listed["refund_id"]
    assert _send(refund, server)["refund_get_response"]["refund"] == listed
    sold = top.api.TradesSoldGetRequest("127.0.0.1", server.port)
    sold.fields, sold.page_size = "tid", 1
    assert _send(sold, server)["trades_sold_get_response"]["total_results"] > 100


def test_taobao_openapi_reads_reviews_and_parcels(server: SandboxServer) -> None:
    rates = top.api.TraderatesGetRequest("127.0.0.1", server.port)
    rates.fields, rates.rate_type, rates.role = "tid,oid,result,created,content", "get", "buyer"
    rates.page_size = 150
    content = _send(rates, server)["traderates_get_response"]
    assert content["total_results"] >= len(content["trade_rates"]["trade_rate"]) > 0
    shippings = top.api.LogisticsOrdersGetRequest("127.0.0.1", server.port)
    shippings.fields, shippings.page_size = "tid,out_sid,status", 1
    (parcel,) = _send(shippings, server)["logistics_orders_get_response"]["shippings"]["shipping"]
    way = top.api.LogisticsTraceSearchRequest("127.0.0.1", server.port)
    way.tid = content["trade_rates"]["trade_rate"][0]["tid"]
    found = _send(way, server)["logistics_trace_search_response"]
    assert found["trace_list"]["transit_step_info"][-1]["action"] == "SIGN"
    assert parcel["out_sid"].startswith("DEMO")


def test_taobao_openapi_is_told_that_its_secret_is_wrong(server: SandboxServer) -> None:
    request = top.api.TradesSoldGetRequest("127.0.0.1", server.port)
    request.fields = "tid"
    with pytest.raises(TopException) as raised:
        _send(request, server, secret="another secret")
    assert raised.value.errorcode == 25


def test_taobao_openapi_gets_throttled(server: SandboxServer) -> None:
    server.set_limits(calls_per_second=0.01, burst=2, ban_seconds=30)
    _modified_trades(server, 1)
    _modified_trades(server, 1)
    with pytest.raises(TopException) as raised:
        _modified_trades(server, 1)
    assert raised.value.errorcode == 7
    assert raised.value.subcode == "accesscontrol.limited-by-api-access-count"
    assert raised.value.submsg == "This ban will last for 30 more seconds"


@pytest.fixture
def shanghai_client(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[taobaopy.taobao.TaoBaoAPIClient]:
    # This client stamps its calls with the machine's local time.
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    client = taobaopy.taobao.TaoBaoAPIClient(
        server.access.app_key, server.access.app_secret, domain=server.url
    )
    client.set_access_token(server.access.session, expires_in=2**33)
    yield client
    monkeypatch.undo()
    time.tzset()


def test_taobaopy_signs_with_hmac_and_pages_while_there_is_more(
    shanghai_client: taobaopy.taobao.TaoBaoAPIClient, server: SandboxServer
) -> None:
    tids: list[int] = []
    page, has_next = 1, True
    while has_next:
        content = shanghai_client.trades_sold_increment_get(
            fields=_FIELDS,
            start_modified=_START,
            end_modified=_END,
            page_no=page,
            page_size=9,
            use_has_next=True,
        )["trades_sold_increment_get_response"]
        tids += [trade["tid"] for trade in content["trades"]["trade"]]
        page, has_next = page + 1, content["has_next"]
    assert len(tids) == len(set(tids)) == _modified_trades(server, 1)["total_results"]


def test_taobaopy_waits_out_a_throttle(
    shanghai_client: taobaopy.taobao.TaoBaoAPIClient,
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(taobaopy.taobao.time, "sleep", waited.append)
    server.set_faults(throttle={"calls": 2, "seconds": 1}, system_busy=1)
    with pytest.raises(taobaopy.taobao.TaoBaoAPIError) as raised:
        shanghai_client.trades_sold_get(fields="tid")  # it does not repeat this fault
    assert raised.value.sub_code == "isp.remote-service-error"
    assert waited == [1, 1]
    assert shanghai_client.trades_sold_get(fields="tid")["trades_sold_get_response"]


def test_taobaopy_repeats_server_errors_and_cut_answers(
    shanghai_client: taobaopy.taobao.TaoBaoAPIClient,
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = server.shop.call_count
    server.set_faults(http_error={"calls": 1, "status": 502}, truncate=1, html=1)
    content = shanghai_client.trades_sold_get(fields="tid", page_size=1)
    assert content["trades_sold_get_response"]["trades"]
    assert server.shop.call_count == before + 4

"""Parcels: which are asked for, and what their way looks like."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regulars.errors import AuthenticationFailed, QuotaExhausted
from regulars.records import RawRecord, Window
from regulars.sources.taobao_top import TaobaoTop
from regulars.sources.taobao_top.parcels import TRACE_METHOD, read_parcels
from regulars.sources.taobao_top.payload import LOGISTICS
from tests.landing.conftest import FixedClock
from tests.sources.gateway import Answer, client_for, envelope, refusal
from tests.sources.shops import demo_shop

START = datetime(2017, 9, 30, 16, 0, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))


def shipping(tid: int, status: str = "ACCEPTED", modified: str = "2017-09-20 10:00:00") -> Any:
    return {
        "tid": tid,
        "out_sid": f"S{tid}",
        "status": status,
        "created": "2017-09-20 10:00:00",
        "modified": modified,
    }


def way(tid: int, steps: Any) -> dict[str, Any]:
    return {"tid": tid, "out_sid": f"S{tid}", "company_name": "快递", "status": "在途", **steps}


STEP = {"status_time": "2017-10-01 08:00:00", "status_desc": "派送中", "action": "DELIVER"}


class ParcelGateway:
    """Lists parcels and tells their ways."""

    def __init__(self, shippings: list[Any], ways: dict[int, Answer] | None = None) -> None:
        self.shippings = shippings
        self.ways = ways or {}
        self.listed: list[dict[str, str]] = []
        self.traced: list[int] = []

    def __call__(self, parameters: dict[str, str]) -> Answer:
        if parameters["method"] == TRACE_METHOD:
            tid = int(parameters["tid"])
            self.traced.append(tid)
            usual = way(tid, {"trace_list": {"transit_step_info": [STEP]}})
            return self.ways.get(
                tid, envelope(TRACE_METHOD, {"result": {"transit_step_result": [usual]}})
            )
        self.listed.append(parameters)
        size, number = int(parameters["page_size"]), int(parameters["page_no"])
        page = self.shippings[(number - 1) * size : number * size]
        body: dict[str, Any] = {"total_results": len(self.shippings)}
        if page:
            body["shippings"] = {"shipping": page}
        return envelope(parameters["method"], body)


def read(gateway: Any) -> list[RawRecord]:
    return list(read_parcels(client_for(gateway), WINDOW))


def test_parcels_sent_in_the_weeks_before_are_listed() -> None:
    gateway = ParcelGateway([])
    assert read(gateway) == []
    (call,) = gateway.listed
    assert call["method"] == "taobao.logistics.orders.get"
    assert call["start_created"] == "2017-09-11 00:00:00"
    assert call["end_created"] == "2017-10-02 00:00:00"
    assert "use_has_next" not in call


@pytest.mark.parametrize(
    ("status", "modified", "is_asked"),
    [
        ("ACCEPTED", "2017-09-20 10:00:00", True),
        ("CREATED", "2017-09-20 10:00:00", True),
        ("A_STATUS_OF_TOMORROW", "2017-09-20 10:00:00", True),
        ("ACCEPTED_BY_RECEIVER", "2017-09-30 23:59:59", False),
        ("ACCEPTED_BY_RECEIVER", "2017-10-01 00:00:00", True),
        ("CANCELLED", "2017-09-20 10:00:00", False),
    ],
)
def test_parcels_that_were_under_way_are_asked_for(
    status: str, modified: str, is_asked: bool
) -> None:
    gateway = ParcelGateway([shipping(1, status, modified)])
    assert len(read(gateway)) == int(is_asked)
    assert gateway.traced == [1] * is_asked


def test_an_arrival_is_known_by_the_delivery_too() -> None:
    arrived = {**shipping(1, "ACCEPTED_BY_RECEIVER"), "delivery_end": "2017-10-01 09:00:00"}
    assert len(read(ParcelGateway([arrived]))) == 1


def test_a_trade_in_several_parcels_is_asked_for_once() -> None:
    two = [
        way(1, {"trace_list": {"transit_step_info": [STEP]}}),
        {**way(1, {"trace_list": {"transit_step_info": [STEP]}}), "out_sid": "S2"},
    ]
    answer = envelope(TRACE_METHOD, {"result": {"transit_step_result": two}})
    gateway = ParcelGateway([shipping(1), {**shipping(1), "out_sid": "S2"}], {1: answer})
    records = read(gateway)
    assert gateway.traced == [1]
    assert [record.payload["out_sid"] for record in records] == ["S1", "S2"]
    checked = LOGISTICS.check(records[0].payload)
    assert (checked.reasons, checked.unknown, checked.unknown_nested) == ([], {}, [])
    assert checked.values["trace_list"] == [STEP]


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        [],
        {"transit_step_result": []},
        {"transit_step_result": [way(1, {})]},
        {"transit_step_result": [way(1, {"trace_list": {}})]},
    ],
)
def test_a_parcel_that_nobody_has_scanned_is_no_record(result: Any) -> None:
    answer = envelope(TRACE_METHOD, {} if result is None else {"result": result})
    assert read(ParcelGateway([shipping(1)], {1: answer})) == []


def test_lists_may_come_without_their_wrappers() -> None:
    answer = envelope(TRACE_METHOD, {"result": [way(1, {"trace_list": [STEP]})]})
    (record,) = read(ParcelGateway([shipping(1)], {1: answer}))
    assert record.payload["trace_list"] == [STEP]


def test_one_trades_refusal_leaves_the_others() -> None:
    gateway = ParcelGateway(
        [shipping(number) for number in (1, 2, 3)], {2: refusal(15, "isv.trade-not-exist")}
    )
    records = read(gateway)
    bad = next(record for record in records if record.defect)
    assert (bad.payload, bad.is_final) == ({"tid": "2"}, True)
    assert "isv.trade-not-exist" in str(bad.defect)
    assert [record.payload["tid"] for record in records if not record.defect] == [1, 3]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(27, "session-expired"), AuthenticationFailed),
        (refusal(7, "accesscontrol.limited-by-app-access-count"), QuotaExhausted),
    ],
)
def test_what_concerns_every_call_ends_the_window(answer: Answer, error: type[Exception]) -> None:
    gateway = ParcelGateway([shipping(1), shipping(2)], {1: answer, 2: answer})
    with pytest.raises(error):
        read(gateway)
    assert len(gateway.traced) == 1


def test_all_days_are_asked_at_once() -> None:
    source = TaobaoTop(client_for(ParcelGateway([])), FixedClock(WINDOW.end + timedelta(hours=2)))
    whole = Window(START - timedelta(days=9), WINDOW.end)
    assert source.windows(demo_shop(overlap_minutes=0), "logistics", whole) == [whole]

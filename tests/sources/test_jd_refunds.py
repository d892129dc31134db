"""Reading JD's after-sales refunds, which no list gives by the time that matters."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.jd_jos import PAYLOADS
from regulars.sources.jd_jos.aftersales import DETAIL, METHOD, flattened, look_back, read_refunds
from tests.sources.jd_gateway import Answer, Script, business, client_for, envelope

START = datetime(2017, 10, 1, 16, 0, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))


def service(number: int, applied: str, **changes: Any) -> dict[str, Any]:
    bill = {"serviceId": number, "orderId": 298000000001, "wareId": 1, "afsApplyTime": applied}
    return {"sameOrderServiceBill": bill, "status": 10, **changes}


def done(number: int, completed: str, **changes: Any) -> dict[str, Any]:
    record = service(number, "2017-09-20 10:00:00", status=13, completeTime=completed)
    return {**record, "afsRefundId": 7, **changes}


class Services:
    """Serves after-sales services, filtered and paged as the platform does."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = list(records)
        self.asked: list[dict[str, Any]] = []
        self.details: list[int] = []
        self.detail: dict[str, Any] = {"afsActualRefundDetail": {"actualRefundAmount": "12.30"}}
        self.verdict: dict[str, Any] = {"success": True, "errorCode": "200"}
        self.list_verdict: dict[str, Any] = {"success": True, "code": "00000"}

    def __call__(self, call: dict[str, str]) -> Answer:
        asked = business(call)
        if call["method"] == DETAIL:
            self.details.append(asked["afsServiceId"])
            data = {"orderId": 298000000001, **self.detail}
            return envelope(DETAIL, {"result": {**self.verdict, "data": data}})
        self.asked.append(asked)
        assert 1 <= asked["pageSize"] <= 50
        name = "applyTime" if "applyTimeBegin" in asked else "approveTime"
        member = "afsApplyTime" if name == "applyTime" else "approveDate"
        held = [
            one
            for one in self.records
            if asked[f"{name}Begin"]
            <= one["sameOrderServiceBill"].get(member, "")
            <= asked[f"{name}End"]
        ]
        start = (asked["pageNumber"] - 1) * asked["pageSize"]
        page = held[start : start + asked["pageSize"]]
        total = str(len(held))  # some apps get it as text
        return envelope(
            METHOD, {"pageResult": {**self.list_verdict, "totalCount": total, "data": page}}
        )


def read(gateway: Any, window: Window = WINDOW) -> list[RawRecord]:
    return list(read_refunds(client_for(gateway), window))


def test_what_ended_in_the_window_comes_however_long_ago_it_was_asked_for() -> None:
    gateway = Services(
        done(1, "2017-10-02 00:00:00"),
        done(2, "2017-10-02 23:59:59"),
        done(3, "2017-10-01 23:59:59"),
        done(4, "2017-10-03 00:00:01"),
    )
    records = read(gateway)
    assert [record.payload["serviceId"] for record in records] == [1, 2]
    assert gateway.details == [1, 2]


def test_what_is_still_open_comes_every_time() -> None:
    """The platform does not say when a refund failed, or when the seller was asked again."""
    gateway = Services(
        service(1, "2017-09-20 10:00:00"),
        service(2, "2017-09-20 10:00:00", status=14),
        service(3, "2017-09-20 10:00:00", completeTime="0001-01-01 00:00:00"),
    )
    assert [record.payload["serviceId"] for record in read(gateway)] == [1, 2, 3]


def test_each_refund_gets_its_amount() -> None:
    (record,) = read(Services(done(1, "2017-10-02 10:00:00")))
    assert record.payload["actualRefundAmount"] == "12.30"
    assert "maxRefundAmount" not in record.payload
    gateway = Services(service(1, "2017-09-20 10:00:00", afsRefundId=7))
    gateway.detail = {"afsEstimateRefundDetail": {"maxRefundAmount": "20.00"}}
    (record,) = read(gateway)
    assert record.payload["maxRefundAmount"] == "20.00"


def test_an_amount_that_cannot_be_read_is_a_defect_and_the_others_come() -> None:
    gateway = Services(done(1, "2017-10-02 10:00:00"), done(2, "2017-10-02 10:00:00"))

    def answer(call: dict[str, str]) -> Answer:
        is_bad = call["method"] == DETAIL and business(call)["afsServiceId"] == 1
        gateway.verdict = {"success": not is_bad, "errorCode": "500" if is_bad else "200"}
        return gateway(call)

    first, second = read(answer)
    assert "errorCode 500" in str(first.defect)
    # Its fields are kept, and it is known by its number when it is asked for again.
    assert (first.payload["status"], first.key) == (13, "serviceId 1")
    assert second.key == ""
    assert (second.defect, second.payload["actualRefundAmount"]) == (None, "12.30")


def test_amounts_that_all_fail_end_the_window() -> None:
    gateway = Services(*(done(number, "2017-10-02 10:00:00") for number in range(1, 31)))
    gateway.verdict = {"success": False, "errorCode": "500"}
    with pytest.raises(SourceUnavailable, match="errorCode 500"):
        read(gateway)
    assert len(set(gateway.details)) == 12


def test_an_amount_that_the_list_tells_may_be_refused() -> None:
    gateway = Services(
        done(1, "2017-10-02 10:00:00", refoundAmount="5.00"),
        service(2, "2017-09-20 10:00:00", afsRefundId=7),
    )
    gateway.verdict = {"success": False, "errorCode": "500"}
    records = read(gateway)
    assert [record.defect for record in records] == [None, None]
    assert gateway.details == [1, 2]  # asked once each


def test_a_service_without_a_refund_or_with_a_failed_one_is_not_asked_for_an_amount() -> None:
    gateway = Services(
        service(1, "2017-09-20 10:00:00"),
        service(2, "2017-09-20 10:00:00", status=14, afsRefundId=7),
    )
    assert len(read(gateway)) == 2
    assert gateway.details == []


def test_a_service_that_both_spans_show_comes_once() -> None:
    record = done(1, "2017-10-02 10:00:00")
    record["sameOrderServiceBill"]["approveDate"] = "2017-10-01 10:00:00"
    gateway = Services(record)
    assert len(read(gateway)) == 1
    assert gateway.details == [1]


def test_pages_are_read_from_the_last_by_fifty() -> None:
    records = [done(number, "2017-10-02 10:00:00") for number in range(1, 121)]
    gateway = Services(*records)
    assert len(read(gateway)) == 120
    pages = [(asked["pageNumber"], asked["pageSize"]) for asked in gateway.asked]
    assert (3, 50) in pages


def test_a_list_without_success_is_named_by_its_code() -> None:
    gateway = Services()
    gateway.list_verdict = {"success": False, "code": "10001"}
    with pytest.raises(SourceUnavailable, match="code 10001"):
        read(gateway)
    gateway.list_verdict = {"success": True, "code": "10002"}
    with pytest.raises(SourceUnavailable, match="code 10002"):
        read(gateway)


@pytest.mark.parametrize("result", [None, {"success": True, "code": "00000", "totalCount": "x"}])
def test_a_list_of_another_shape_is_a_changed_schema(result: Any) -> None:
    with pytest.raises(SchemaChanged):
        read(Script(envelope(METHOD, {"pageResult": result})))


def test_a_record_that_is_no_object_is_a_defect() -> None:
    page = {"success": True, "code": "00000", "totalCount": 1, "data": ["text"]}
    records = read(Script(envelope(METHOD, {"pageResult": page})))
    assert {record.defect for record in records} == {"not an object"}


def test_times_come_as_text_or_as_milliseconds() -> None:
    record = done(1, "2017-10-02 10:00:00")
    record["completeTime"] = 1506909600000
    record["sameOrderServiceBill"]["afsApplyTime"] = "1505872800000"
    flat = flattened(record)
    assert flat["completeTime"] == "2017-10-02 10:00:00"
    assert flat["afsApplyTime"] == "2017-09-20 10:00:00"
    assert PAYLOADS["refunds"].check(flat).reasons == []


def test_what_the_platform_adds_is_known_by_its_name() -> None:
    record = done(1, "2017-10-02 10:00:00")
    record["sameOrderServiceBill"]["brandNew"] = "x"
    assert PAYLOADS["refunds"].check(flattened(record)).unknown == {"brandNew": "x"}


@settings(max_examples=40, deadline=None)
@given(hours=st.integers(1, 7 * 24))
def test_spans_are_as_long_as_the_platform_allows_and_leave_no_gap(hours: int) -> None:
    window = Window(START, START + timedelta(hours=hours))
    spans = look_back(window)
    applied = [span for span in spans if span.name == "applyTime"]
    (approved,) = [span for span in spans if span.name == "approveTime"]
    assert approved.end - approved.start <= timedelta(days=10)
    assert applied[0].start == window.start - timedelta(days=35)
    assert applied[-1].end == approved.end == window.end
    assert all(one.end == other.start for one, other in pairwise(applied))
    assert all(timedelta(0) < span.end - span.start <= timedelta(days=7) for span in applied)

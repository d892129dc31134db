"""Reading windows of the platform's streams."""

from datetime import UTC, datetime
from typing import Any

import pytest

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.taobao_top.payload import PAYLOADS, field_list
from regulars.sources.taobao_top.streams import STREAMS, read_window
from tests.sources.gateway import Answer, ListGateway, client_for, envelope, refusal, trade

WINDOW = Window(datetime(2017, 9, 30, 16, 0, tzinfo=UTC), datetime(2017, 10, 1, 16, 0, tzinfo=UTC))


def read(gateway: Any, stream: str = "orders") -> list[RawRecord]:
    return list(read_window(client_for(gateway), STREAMS[stream], WINDOW))


def test_the_count_comes_first_then_the_last_page_backwards() -> None:
    gateway = ListGateway([trade(number) for number in range(250)])
    records = read(gateway)
    assert len(records) == 250
    count, last, *earlier = gateway.calls
    assert (count["page_no"], count["page_size"]) == ("1", "1")
    assert (last["page_no"], last["page_size"]) == ("3", "100")
    starts = [(number - 1) * size for number, size in gateway.pages]
    assert starts == sorted(starts, reverse=True)
    assert earlier[-1]["page_no"] == "1"


def test_the_window_is_asked_in_the_platforms_zone_with_every_trade_type() -> None:
    gateway = ListGateway([])
    assert read(gateway) == []
    (call,) = gateway.calls
    assert call["start_modified"] == "2017-10-01 00:00:00"
    assert call["end_modified"] == "2017-10-02 00:00:00"
    assert "tmall_i18n" in call["type"].split(",")
    assert call["use_has_next"] == "false"
    assert call["method"] == "taobao.trades.sold.increment.get"


def test_exactly_the_known_fields_are_asked_for() -> None:
    gateway = ListGateway([trade(1)])
    read(gateway)
    asked = gateway.calls[-1]["fields"].split(",")
    assert asked == field_list(PAYLOADS["orders"]).split(",")
    assert {"tid", "buyer_nick", "receiver_phone", "orders.oid", "orders.part_mjz_discount"} <= set(
        asked
    )


def test_sub_orders_are_unwrapped() -> None:
    (record,) = read(ListGateway([trade(1)]))
    assert [order["num"] for order in record.payload["orders"]] == [2]


def test_refunds_come_from_their_own_list() -> None:
    refund = {"refund_id": "55", "tid": 1, "modified": "2017-10-01 10:00:00"}
    gateway = ListGateway([refund], ("refunds", "refund"))
    (record,) = read(gateway, "refunds")
    assert record.payload["refund_id"] == "55"
    assert gateway.calls[0]["method"] == "taobao.refunds.receive.get"
    assert "type" not in gateway.calls[0]


@pytest.mark.parametrize("container", [None, {}, {"trade": []}, [], {"trade": None}])
def test_every_spelling_of_an_empty_page_is_understood(container: Any) -> None:
    def gateway(parameters: dict[str, str]) -> Answer:
        # The total says one, the page has none: it left in between.
        body: dict[str, Any] = {"total_results": 1 if parameters["page_size"] == "1" else 0}
        if container is not None:
            body["trades"] = container
        return envelope(parameters["method"], body)

    assert read(gateway) == []


@pytest.mark.parametrize("total", [None, "many", True, -1, 2.5])
def test_a_count_that_is_no_count_is_a_changed_schema(total: Any) -> None:
    with pytest.raises(SchemaChanged, match="total_results"):
        read(lambda p: envelope(p["method"], {"total_results": total}))


def test_a_list_that_is_no_list_is_a_changed_schema() -> None:
    body = {"total_results": 1, "trades": {"trade": "none"}}
    with pytest.raises(SchemaChanged, match=r"trades\.trade"):
        read(lambda p: envelope(p["method"], body))


def test_a_record_that_is_no_object_is_a_defect() -> None:
    records = read(ListGateway([trade(1), None, "text"]))
    assert [record.defect for record in records] == [None, "not an object", "not an object"]


def test_one_unreadable_record_is_named_and_the_others_come() -> None:
    gateway = ListGateway([trade(number) for number in range(130)])
    gateway.poison = {17}
    records = read(gateway)
    bad = [record for record in records if record.defect]
    assert len(records) - len(bad) == 129
    assert [(record.position, record.payload) for record in bad] == [("page 18 of 1", {})]
    assert "not complete JSON" in str(bad[0].defect)


def test_a_platform_that_dies_while_paging_ends_the_window() -> None:
    gateway = ListGateway([trade(number) for number in range(300)])

    def dying(parameters: dict[str, str]) -> Answer:
        return gateway(parameters) if len(gateway.calls) < 2 else refusal(10)

    with pytest.raises(SourceUnavailable):
        read(dying)


def test_versions_that_differ_in_time_are_both_given() -> None:
    records = [trade(1, modified="2017-10-01 11:00:00"), trade(1), trade(1)]
    assert len(read(ListGateway(records))) == 2

"""Reading windows of JD's orders: paging, depth, and what a record becomes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.errors import SchemaChanged, SourceError, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources import open_source
from regulars.sources.jd_jos import PAYLOADS, JdJos
from regulars.sources.jd_jos.orders import flattened, months_before, read_orders
from regulars.sources.jd_jos.payload import OPTIONAL_FIELDS
from tests.landing.conftest import FixedClock
from tests.sources.gateway import Sleeper
from tests.sources.jd_gateway import Answer, ListGateway, Script, client_for, found, order, refusal
from tests.sources.shops import demo_shop

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=UTC)
WINDOW = Window(datetime(2017, 9, 30, 16, 0, tzinfo=UTC), datetime(2017, 10, 1, 16, 0, tzinfo=UTC))


def read(gateway: Any, sleeper: Sleeper | None = None) -> list[RawRecord]:
    return list(read_orders(client_for(gateway, sleeper), WINDOW, NOW))


def test_the_count_comes_first_then_the_last_page_backwards() -> None:
    gateway = ListGateway([order(number) for number in range(250)])
    assert len(read(gateway)) == 250
    count, last = gateway.asked[:2]
    assert (count["page"], count["page_size"], count["optional_fields"]) == (
        "1",
        "1",
        "orderId,modified",
    )
    assert (last["page"], last["page_size"]) == ("3", "100")
    starts = [(number - 1) * size for number, size in gateway.pages]
    assert starts == sorted(starts, reverse=True)


def test_a_window_is_asked_in_the_platforms_zone_with_every_state() -> None:
    gateway = ListGateway([])
    assert read(gateway) == []
    (asked,) = gateway.asked
    assert (asked["start_date"], asked["end_date"]) == (
        "2017-10-01 00:00:00",
        "2017-10-02 00:00:00",
    )
    assert (asked["order_state"], asked["dateType"], asked["source_id"]) == ("ALL", 0, "JOS")


def test_what_the_model_knows_is_asked_for_and_accounts_are_not() -> None:
    gateway = ListGateway([order(1)])
    read(gateway)
    assert gateway.asked[-1]["optional_fields"] == OPTIONAL_FIELDS
    names = set(OPTIONAL_FIELDS.split(","))
    assert {"orderId", "modified", "consigneeInfo", "couponDetailList", "open_id_buyer"} <= names
    assert not names & {"pin", "realPin", "fullname", "mobile"}


@pytest.mark.parametrize(
    "beyond", [found([], 0), found([], 0, success=False, number="1010"), found(None, 250)]
)
def test_a_page_beyond_the_end_does_not_end_the_walk(beyond: dict[str, Any]) -> None:
    """The list shrinks by a page after the count: the platform then says that it has no order."""
    gateway = ListGateway([order(number) for number in range(310)])
    gateway.beyond = beyond

    def shrinking(call: dict[str, str]) -> Answer:
        if len(gateway.asked) == 1:
            del gateway.records[250:]
        return gateway(call)

    sleeper = Sleeper()
    assert len(read(shrinking, sleeper)) == 250
    assert sleeper.waits == []


def test_a_search_without_success_is_repeated_and_then_named_by_its_number() -> None:
    sleeper = Sleeper()
    bad = found([], 0, success=False, number="1999")
    assert read(Script(bad, found([], 0)), sleeper) == []
    assert sleeper.waits == [1.0]
    with pytest.raises(SourceUnavailable, match="numberCode 1999"):
        read(Script(bad))


def test_success_may_be_written_as_text() -> None:
    assert read(Script(found([], 0, success="true"))) == []


@pytest.mark.parametrize("total", [None, "many", True, -1, 2.5])
def test_a_count_that_is_no_count_is_a_changed_schema(total: Any) -> None:
    with pytest.raises(SchemaChanged, match="orderTotal"):
        read(Script(found([], total)))


def test_a_list_that_is_no_list_is_a_changed_schema() -> None:
    with pytest.raises(SchemaChanged, match="orderInfoList"):
        read(Script(found("none", 1)))


def test_an_answer_without_result_is_a_changed_schema() -> None:
    with pytest.raises(SchemaChanged, match="searchorderinfo_result"):
        read(Script({"jingdong_pop_order_search_responce": {"code": "0"}}))


def test_a_record_that_is_no_object_is_a_defect() -> None:
    records = read(ListGateway([order(1), None, "text"]))
    assert [record.defect for record in records] == [None, "not an object", "not an object"]


def test_one_unreadable_record_is_named_and_the_others_come() -> None:
    gateway = ListGateway([order(number) for number in range(130)])
    gateway.poison = {17}
    records = read(gateway)
    bad = [record for record in records if record.defect]
    assert len(records) - len(bad) == 129
    assert [(record.position, record.payload) for record in bad] == [("page 18 of 1", {})]


def test_a_platform_that_dies_while_paging_ends_the_window() -> None:
    gateway = ListGateway([order(number) for number in range(300)])

    def dying(call: dict[str, str]) -> Answer:
        return gateway(call) if len(gateway.asked) < 2 else refusal(65)

    with pytest.raises(SourceUnavailable):
        read(dying)


def test_two_versions_of_one_second_are_both_given() -> None:
    records = [order(1), order(1, orderState="LOCKED"), order(1)]
    states = [record.payload["orderState"] for record in read(ListGateway(records))]
    assert states == ["WAIT_SELLER_STOCK_OUT", "LOCKED"]


def test_a_window_deeper_than_three_months_is_not_asked() -> None:
    script = Script(found([], 0))
    client = client_for(script)
    limit = months_before(NOW, 3)
    window = Window(limit, limit + timedelta(days=1))
    assert list(read_orders(client, window, NOW)) == []
    deeper = Window(limit - timedelta(seconds=1), limit)
    with pytest.raises(SourceError, match="three months") as caught:
        list(read_orders(client, deeper, NOW))
    assert len(script.calls) == 1
    assert "api_from" in caught.value.next_step


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ("2017-05-31 12:00:00", "2017-02-28 12:00:00"),
        ("2017-01-15 00:00:00", "2016-10-15 00:00:00"),
        ("2017-12-01 00:00:00", "2017-09-01 00:00:00"),
    ],
)
def test_months_are_calendar_months_of_the_platforms_zone(now: str, before: str) -> None:
    instant = datetime.fromisoformat(f"{now}+08:00")
    assert months_before(instant, 3) == datetime.fromisoformat(f"{before}+08:00")


def test_the_consignee_stands_in_the_record_itself() -> None:
    (record,) = read(ListGateway([order(1)]))
    assert record.payload["mobile"] == "*******0926"
    assert "consigneeInfo" not in record.payload
    assert PAYLOADS["orders"].check(record.payload).reasons == []


def test_ciphertext_is_dropped_wherever_it_stands() -> None:
    cipher = "AAAAB3NzaC1yc2EAAAADAQABAAABAQ+/x=="
    consignee = {"fullname": cipher, "encrypt_mobile": cipher, "mobile": "138****0926"}
    flat = flattened(order(1, consigneeInfo={**consignee, "fullAddress": "浙江省杭州市文三路1号"}))
    assert cipher not in flat.values()
    assert (flat["mobile"], flat["fullAddress"]) == ("138****0926", "浙江省杭州市文三路1号")


def test_members_of_the_consignee_that_nobody_knows_stay_a_persons() -> None:
    flat = flattened(order(1, consigneeInfo={"idNumber": "1"}))
    assert flat["consigneeInfo"] == {"idNumber": "1"}
    assert PAYLOADS["orders"].check(flat).unknown == {"consigneeInfo": {"idNumber": "1"}}


def test_orders_are_cut_by_days_and_refunds_by_weeks() -> None:
    shop = demo_shop(platform="jd", source="jd_jos", overlap_minutes=60)
    source = JdJos(client_for(Script()), FixedClock(datetime(2017, 11, 1, tzinfo=UTC)))
    day = Window(shop.day_start(date(2017, 10, 1)), shop.day_end(date(2017, 10, 1)))
    overlap = Window(day.start - timedelta(minutes=60), day.start)
    assert source.windows(shop, "orders", day) == [overlap, day]
    assert source.windows(shop, "refunds", day) == [Window(overlap.start, day.end)]
    week = Window(day.start, day.start + timedelta(days=8))
    assert len(source.windows(shop, "refunds", week)) == 2


def test_the_source_is_found_by_its_name() -> None:
    shop = demo_shop(platform="jd", source="jd_jos")
    credentials = Credentials("c", "http://x", "key", "secret", {"access_token": "t"})
    source = open_source(shop, credentials, FixedClock(NOW))
    assert source.streams() == ("orders", "refunds")
    source.close()

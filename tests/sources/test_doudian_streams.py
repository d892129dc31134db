"""Windows, pages, details: everything is asked for, nothing that stays is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.credentials import Credentials
from regulars.errors import (
    AuthenticationFailed,
    ConfigError,
    QuotaExhausted,
    SchemaChanged,
    SourceError,
    SourceUnavailable,
)
from regulars.records import RawRecord, Window
from regulars.sources import open_source, payload_model, raw_streams
from regulars.sources.doudian_open import DoudianOpen, streams
from regulars.sources.doudian_open.streams import DEPTH, STREAMS, read_window
from tests.sources.doudian_calls import (
    DETAIL,
    ID,
    REFUNDS,
    Call,
    ListGateway,
    aftersale,
    client_for,
    detail,
    good,
    order,
    refusal,
)
from tests.sources.shops import demo_shop

START = 1_506_787_200  # 2017-10-01 00:00:00 GMT+8
DAY = Window(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + 86_400, UTC))
NOW = DAY.end + timedelta(hours=2)


class Present:
    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


def read(
    gateway: Any, stream: str = "orders", window: Window = DAY, now: datetime = NOW
) -> list[RawRecord]:
    return list(read_window(client_for(gateway), STREAMS[stream], window, now))


def ids(records: list[RawRecord]) -> list[str]:
    return [str(one.payload["order_id"]) for one in records]


def some(count: int) -> list[dict[str, Any]]:
    """Orders of the day, newest first."""
    return [order(number, START + 80_000 - number) for number in range(count)]


# --- asking -----------------------------------------------------------------------------------


def test_orders_are_asked_by_update_time_from_the_last_page_and_page_zero() -> None:
    gateway = ListGateway(some(250))
    assert len(read(gateway)) == 250
    first = gateway.calls[0].parameters
    assert first == {
        "update_time_start": START,
        "update_time_end": START + 86_400,
        "order_by": "update_time",
        "order_asc": False,
        "page": 0,
        "size": 1,
    }
    assert gateway.pages[0] == (2, 100)
    assert gateway.pages[-1][0] == 0


def test_refunds_are_asked_by_update_time() -> None:
    gateway = ListGateway([aftersale(1, START)], "items")
    read(gateway, "refunds")
    assert gateway.calls[0].method == REFUNDS
    assert gateway.calls[0].parameters == {
        "update_start_time": START,
        "update_end_time": START + 86_400,
        "order_by": ["update_time desc"],
        "page": 0,
        "size": 1,
    }


@pytest.mark.parametrize("empty", [[], None])
def test_an_empty_window_is_counted_and_not_read(empty: Any) -> None:
    def answer(call: Call) -> dict[str, Any]:
        calls.append(call)
        return good({"page": 0, "size": 0, "total": 0, "shop_order_list": empty})

    calls: list[Call] = []
    assert read(answer) == []
    assert len(calls) == 1


def test_windows_are_a_day_at_most_and_keep_the_margin() -> None:
    source = DoudianOpen(client_for(ListGateway([])), Present(DAY.end + timedelta(minutes=1)))
    shop = demo_shop(source="doudian_open", platform="doudian")
    pieces = source.windows(shop, "orders", Window(DAY.start - timedelta(days=1), DAY.end))
    assert pieces[0].start == DAY.start - timedelta(days=1, minutes=60)
    assert pieces[-1].end == DAY.end - timedelta(minutes=2)
    assert all(one.end - one.start <= timedelta(days=1) for one in pieces)


def test_a_window_older_than_the_platform_shows_is_refused_with_a_way_out() -> None:
    gateway = ListGateway([])
    with pytest.raises(SourceError, match="90 days") as caught:
        read(gateway, now=DAY.start + DEPTH + timedelta(seconds=1))
    assert gateway.calls == []
    assert "file drop" in caught.value.next_step


def test_a_window_exactly_as_deep_as_the_platform_shows_is_asked() -> None:
    assert read(ListGateway(some(1)), now=DAY.start + DEPTH) != []


# --- paging -----------------------------------------------------------------------------------

Change = tuple[str, float, int]
changes = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["leaves", "changes", "enters"]),
            st.floats(0, 1, exclude_max=True),
            st.integers(1, 120),
        ),
        max_size=3,
    ),
    max_size=10,
)


class Moving(ListGateway):
    """Orders leave the window, are modified, and enter it while it is paged."""

    def __init__(self, size: int, steps: list[list[Change]]) -> None:
        super().__init__(some(size))
        self.steps: Iterator[list[Change]] = iter(steps)
        self.stayed = {one["order_id"] for one in self.records}
        self.between = self.step
        self.fresh = size

    def step(self) -> None:
        for kind, share, count in next(self.steps, []):
            place = int(share * len(self.records))
            if kind == "enters":
                time = self.records[place]["update_time"] if self.records else START
                entering = [order(self.fresh + n, time) for n in range(count)]
                self.fresh += count
                self.records[place:place] = entering
                continue
            moved = self.records[place : place + count]
            del self.records[place : place + count]
            self.stayed -= {one["order_id"] for one in moved}
            if kind == "changes":
                # A modified order goes to the newest end of the list.
                self.records[:0] = [{**one, "update_time": START + 86_000} for one in moved]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(size=st.integers(0, 500), steps=changes)
@example(size=300, steps=[[], [("enters", 0.0, 1), ("leaves", 0.99, 1)]])
@example(size=300, steps=[[], [("changes", 0.5, 100)], [("changes", 0.0, 100)]])
def test_whatever_stays_is_read_once(size: int, steps: list[list[Change]]) -> None:
    gateway = Moving(size, steps)
    got = read(gateway)
    found = [(one.payload["order_id"], one.payload["update_time"]) for one in got]
    assert gateway.stayed <= {number for number, _ in found}
    assert len(found) == len(set(found))


def test_a_window_with_more_than_the_depth_is_halved_without_loss_or_doubles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MOST_RECORDS", 100)
    records = [order(number, START + 86_400 * number // 700) for number in range(701)][::-1]
    got = read(ListGateway(records))
    assert len(got) == 701
    assert set(ids(got)) == {one["order_id"] for one in records}


def test_records_of_the_second_between_two_halves_come_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MOST_RECORDS", 60)
    middle = START + 43_200
    records = [order(number, middle) for number in range(50)]
    records += [order(50 + number, START + number) for number in range(50)]
    got = read(ListGateway(records))
    assert sorted(ids(got)) == sorted(one["order_id"] for one in records)


def test_more_records_in_one_second_than_can_be_paged_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MOST_RECORDS", 60)
    with pytest.raises(SourceError, match="within a second") as caught:
        read(ListGateway([order(number, START + 5) for number in range(61)]))
    assert type(caught.value) is SourceError
    assert "file drop" in caught.value.next_step


def test_a_list_that_grew_beyond_the_depth_ends_the_window() -> None:
    def answer(call: Call) -> dict[str, Any]:
        page, size = call.parameters["page"], call.parameters["size"]
        assert page * size <= 50_000
        total = 10 if size == 1 else 60_000
        return good({"page": page, "size": size, "total": total, "shop_order_list": [order(1)]})

    with pytest.raises(SourceError, match="grew beyond"):
        read(answer)


def test_an_unreadable_place_is_named_and_the_others_come() -> None:
    gateway = ListGateway(some(30))
    gateway.poison = {7}
    got = read(gateway)
    (bad,) = [one for one in got if one.defect is not None]
    assert "not complete JSON" in str(bad.defect)
    assert len(set(ids([one for one in got if one.defect is None]))) == 29


def test_a_gateway_that_never_answers_ends_the_window() -> None:
    with pytest.raises(SourceUnavailable):
        read(lambda call: refusal(20000))


@pytest.mark.parametrize("total", [None, "x", -1, True])
def test_a_count_that_is_no_number_is_a_changed_schema(total: Any) -> None:
    with pytest.raises(SchemaChanged, match="total"):
        read(lambda call: good({"total": total, "shop_order_list": []}))


def test_a_list_that_is_none_is_a_changed_schema() -> None:
    with pytest.raises(SchemaChanged, match="shop_order_list"):
        read(lambda call: good({"total": 1, "shop_order_list": {"a": 1}}))


def test_a_record_that_is_no_object_has_a_defect() -> None:
    (record,) = read(ListGateway(["surprise"]))
    assert record.defect == "not an object"


# --- details of refunds -------------------------------------------------------------------------


def test_the_money_that_went_back_comes_from_the_detail() -> None:
    gateway = ListGateway(
        [
            aftersale(1, START + 9, refund_status=3, aftersale_status=12, refund_amount=1800),
            aftersale(2, START + 8, refund_status=1),
            aftersale(3, START + 7, refund_status=5),
            aftersale(4, START + 6, refund_status=4),
        ],
        "items",
    )
    gateway.details = lambda number: detail(int(number) - ID, 900)
    got = {
        int(str(one.payload["aftersale_id"])) - ID: one.payload for one in read(gateway, "refunds")
    }
    asked = [call.parameters for call in gateway.calls if call.method == DETAIL]
    assert asked == [{"after_sale_id": str(ID + 1)}, {"after_sale_id": str(ID + 3)}]
    assert (got[1]["refund_amount"], got[1]["real_refund_amount"]) == (1800, 900)
    assert got[3]["real_refund_amount"] == 900
    assert "real_refund_amount" not in got[2]
    assert "real_refund_amount" not in got[4]


@pytest.mark.parametrize("answer", [refusal(50002), refusal(20000), httpx.Response(500)])
def test_a_detail_that_cannot_be_read_costs_its_refund_only(answer: Any) -> None:
    records = [aftersale(n, START + n, refund_status=3) for n in (2, 1)]
    gateway = ListGateway(records, "items")
    gateway.details = lambda number: answer if number == str(ID + 1) else detail(2, 5)
    good_one, bad_one = sorted(read(gateway, "refunds"), key=lambda one: one.defect is not None)
    assert (good_one.defect, good_one.key) == (None, "")
    assert "its detail could not be read" in str(bad_one.defect)
    # What the list told of it is kept, and it is known by its number when it is asked for again.
    assert bad_one.payload["refund_status"] == 3
    assert bad_one.key == f"aftersale_id {ID + 1}"


def test_details_that_all_fail_end_the_window() -> None:
    gateway = ListGateway([aftersale(n, START, refund_status=3) for n in range(30)], "items")
    with pytest.raises(SourceError):
        read(gateway, "refunds")
    assert len([call for call in gateway.calls if call.method == DETAIL]) == 12


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(30001), AuthenticationFailed),
        (refusal(60000, "isv.daily-quota-exceeded"), QuotaExhausted),
        (good({"process_info": {}}), SchemaChanged),
        (good({}), SchemaChanged),
    ],
)
def test_what_concerns_every_detail_ends_the_window(answer: Any, error: type[SourceError]) -> None:
    gateway = ListGateway([aftersale(1, START, refund_status=3)], "items")
    gateway.details = lambda number: answer
    with pytest.raises(error):
        read(gateway, "refunds")


# --- the face -----------------------------------------------------------------------------------


def test_the_source_is_found_by_its_name() -> None:
    assert raw_streams("doudian_open") == ("orders", "refunds")
    shop = demo_shop(source="doudian_open", platform="doudian")
    with pytest.raises(ConfigError, match="app key"):
        open_source(shop, Credentials("regulars_doudian"), Present())
    credentials = Credentials("c", login="a", password="b", extra={"shop_id": "1"})
    source = open_source(shop, credentials, Present())
    assert source.name == "doudian_open"
    assert source.streams() == ("orders", "refunds")
    assert source.payload_model("orders") is payload_model("doudian_open", "orders")
    source.close()


def test_records_come_by_the_face() -> None:
    source = DoudianOpen(client_for(ListGateway(some(3))), Present())
    got = list(source.iter_records(demo_shop(), "orders", DAY))
    assert len(got) == 3
    source.close()

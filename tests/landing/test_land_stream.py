"""Landing a stream of an API: what fails is named, everything else lands."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.errors import (
    AuthenticationFailed,
    ConfigError,
    QuotaExhausted,
    SchemaChanged,
    SourceError,
    SourceUnavailable,
)
from regulars.landing import LandingResult, land_stream, list_batches, read_batch
from regulars.records import RawRecord, Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.taobao_top import TaobaoTop
from regulars.sources.taobao_top.payload import PAYLOADS
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import files_below, quarantined
from tests.sources.gateway import ListGateway, client_for, refusal, trade

DAYS = 3


class Scripted:
    """A source with one window a day, each of which gives records or fails."""

    name = "taobao_top"

    def __init__(self, *days: list[dict[str, Any]] | Exception) -> None:
        self.days = list(days)
        self.asked: list[Window] = []

    def streams(self) -> tuple[str, ...]:
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        day = timedelta(days=1)
        starts = [window.start + day * number for number in range(len(self.days))]
        return [Window(start, start + day) for start in starts]

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        given = self.days[len(self.asked)]
        self.asked.append(window)
        if isinstance(given, Exception):
            yield RawRecord(flat(0), "page 1 of 100, item 1")
            raise given
        for number, payload in enumerate(given, start=1):
            defect = payload.get("!")
            yield RawRecord({} if defect else payload, f"item {number}", defect)

    def close(self) -> None:
        raise AssertionError("a source that was handed in is closed by its owner")


def flat(number: int, **changes: Any) -> dict[str, Any]:
    record = trade(number, **changes)
    record["orders"] = record["orders"]["order"]
    return record


def no_credentials(connection_id: str) -> Credentials:
    raise AssertionError(connection_id)


@pytest.fixture
def land(settings: Settings, shop: Shop, vault: Vault, clock: FixedClock, window: Window) -> Any:
    def run(source: Any, stream: str = "orders") -> LandingResult:
        return land_stream(
            settings,
            shop,
            stream,
            no_credentials,
            clock,
            window,
            vault,
            "night-1",
            lambda _: None,
            source=source,
        )

    return run


def test_each_window_is_a_batch_of_its_local_day(
    settings: Settings, land: Any, clock: FixedClock
) -> None:
    source = Scripted([flat(1)], [flat(2), flat(3)])
    result = land(source)
    assert [str(batch.window_date) for batch in result] == ["2017-10-01", "2017-10-02"]
    assert [batch.record_count for batch in result] == [1, 2]
    assert result[0].extracted_at == clock.now()
    assert result[0].path.startswith("taobao_top/taobao/demo_grocer/orders/2017-10-01/")
    assert (result[0].window_start, result[0].window_end) == (
        source.asked[0].start,
        source.asked[0].end,
    )
    assert result.completed == tuple(source.asked)
    assert result.failures == ()
    (record,) = read_batch(settings, result[0])
    assert record["tid"] == "9007199254740993001"
    assert record["buyer_nick_masked"] == "s**9"
    assert "_key_id" not in record


def test_asking_again_gives_the_same_batch(settings: Settings, land: Any) -> None:
    first, second = land(Scripted([flat(1)])), land(Scripted([flat(1)]))
    assert first.batches == second.batches
    assert second.known_ids == {first[0].batch_id}
    assert len(list_batches(settings)) == 1


def test_an_empty_window_is_an_empty_batch(settings: Settings, land: Any) -> None:
    (batch,) = land(Scripted([]))
    assert (batch.record_count, batch.quarantined_count) == (0, 0)
    assert list(read_batch(settings, batch)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payment": "12.345"}, "payment: more than two decimals"),
        ({"status": "TRADE_FROZEN"}, "status: 'TRADE_FROZEN' is not a documented status"),
        ({"created": None}, "created: required, but missing"),
        ({"tid": "1.2E+18"}, "tid: scientific notation: digits are lost; deliver it as text"),
    ],
)
def test_a_bad_record_costs_only_itself(
    settings: Settings, land: Any, changes: dict[str, Any], reason: str
) -> None:
    (batch,) = land(Scripted([flat(1), flat(2, **changes), flat(3)]))
    assert [record["_line"] for record in read_batch(settings, batch)] == [1, 3]
    (aside,) = quarantined(settings, batch)
    assert aside["_line"] == 2
    assert aside["_reasons"] == [reason]


def test_an_unknown_field_is_kept_and_counted(settings: Settings, land: Any) -> None:
    record = flat(1, brand_new={"a": [1]}, empty=None)
    record["orders"][0]["sort_info"] = "x"
    (batch,) = land(Scripted([record]))
    (landed,) = read_batch(settings, batch)
    assert landed["brand_new"] == '{"a": [1]}'
    assert landed["orders"][0]["sort_info"] == "x"
    assert batch.unknown_fields == {"brand_new": 1, "orders.sort_info": 1}


def test_numbers_beyond_64_bits_are_kept(settings: Settings, land: Any) -> None:
    (batch,) = land(Scripted([flat(2**70), flat(1, big=2**70, nested={"big": 2**70})]))
    first, second = read_batch(settings, batch)
    assert first["tid"] == str(9007199254740993000 + 2**70)
    assert second["big"] == str(2**70)
    assert second["nested"] == f'{{"big": {2**70}}}'


@pytest.mark.parametrize("name", ["buyer_nick", "type", "brand_new", "status"])
def test_half_a_surrogate_pair_is_sealed_wherever_it_stands(
    settings: Settings, land: Any, vault: Vault, name: str
) -> None:
    (batch,) = land(Scripted([flat(1, **{name: "half \ud800 pair"}), flat(2)]))
    assert batch.record_count == 1
    (aside,) = quarantined(settings, batch)
    assert aside["_reasons"] == ["text that is not Unicode"]
    assert "half \\ud800 pair" in vault.unseal(aside["_sealed"])


def test_many_records_are_numbered_through(settings: Settings, land: Any) -> None:
    (batch,) = land(Scripted([flat(number) for number in range(1203)]))
    assert [one["_line"] for one in read_batch(settings, batch)] == list(range(1, 1204))


def unavailable() -> SourceUnavailable:
    return SourceUnavailable("HTTP 503, after 5 calls", where="taobao.x", next_step="later")


def test_a_failed_window_is_named_and_the_others_land(settings: Settings, land: Any) -> None:
    source = Scripted([flat(1)], unavailable(), [flat(3)])
    result = land(source)
    assert [str(batch.window_date) for batch in result] == ["2017-10-01", "2017-10-03"]
    (failure,) = result.failures
    assert failure.window == source.asked[1]
    assert "2017-10-02T00:00:00+08:00" in str(failure)
    assert "demo_grocer/orders" in failure.error.where
    assert result.completed == (source.asked[0], source.asked[2])
    assert len(list_batches(settings)) == 2
    assert not [path for path in files_below(settings.data_dir) if path.endswith(".part")]
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        result.raise_if_failed()


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationFailed("refused", where="x", next_step="check"),
        QuotaExhausted("used up", where="x", next_step="wait"),
    ],
)
def test_what_concerns_every_window_is_asked_once(land: Any, error: SourceError) -> None:
    source = Scripted([flat(1)], error, [flat(3)], [flat(4)])
    result = land(source)
    assert len(source.asked) == 2
    assert len(result.failures) == 3
    with pytest.raises(type(error), match="2 more failed"):
        result.raise_if_failed()


def test_a_platform_that_stays_away_is_left_alone(land: Any) -> None:
    source = Scripted(unavailable(), unavailable(), [flat(3)])
    result = land(source)
    assert len(source.asked) == 2
    assert [failure.window for failure in result.failures][:2] == source.asked
    recovered = Scripted(unavailable(), [flat(2)], unavailable(), [flat(4)])
    assert len(land(recovered).failures) == 2


def test_a_changed_schema_fails_its_window_only(land: Any) -> None:
    error = SchemaChanged("another shape", where="x", next_step="compare")
    result = land(Scripted(error, [flat(2)]))
    assert (len(result), len(result.failures)) == (1, 1)


def test_a_window_with_an_unreadable_place_lands_and_is_asked_again(
    settings: Settings, land: Any
) -> None:
    source = Scripted([flat(1), {"!": "could not be read: HTTP 500"}, flat(3)])
    result = land(source)
    (batch,) = result
    assert batch.record_count == 2
    assert [one["_reasons"] for one in quarantined(settings, batch)] == [
        ["could not be read: HTTP 500"]
    ]
    assert result.completed == ()
    assert result.failures[0].window == source.asked[0]
    assert "1 records could not be read" in str(result.failures[0])


def test_the_real_source_lands_a_day_end_to_end(settings: Settings, land: Any) -> None:
    gateway = ListGateway([trade(number) for number in range(130)])
    clock = FixedClock(datetime(2017, 10, 2, 18, 0, tzinfo=UTC))
    result = land(TaobaoTop(client_for(gateway), clock))
    assert [batch.record_count for batch in result] == [130, 130]
    assert [str(batch.window_date) for batch in result] == ["2017-09-30", "2017-10-01"]
    tids = {record["tid"] for record in read_batch(settings, result[1])}
    assert len(tids) == 130


def test_an_expired_session_names_the_next_step(land: Any, clock: FixedClock) -> None:
    result = land(TaobaoTop(client_for(lambda _: refusal(27, "session-expired")), clock))
    assert result.batches == ()
    with pytest.raises(AuthenticationFailed, match="authorise the app again"):
        result.raise_if_failed()


def test_a_shop_without_connection_cannot_be_asked(
    settings: Settings, shop: Shop, vault: Vault, clock: FixedClock, window: Window
) -> None:
    for changes, text in (
        ({"source": "file", "connection": None}, "no connection"),
        ({"source": "unheard_of"}, "source 'unheard_of' has no API"),
    ):
        other = shop.model_copy(update=changes)
        with pytest.raises(ConfigError, match=text):
            land_stream(
                settings, other, "orders", lambda c: Credentials(c), clock, window, vault, "n"
            )


# --- what a Taobao shop may hold ------------------------------------------------------------------

ODD = "小王👩‍👩‍👧🇨🇳 ﷽ ñ𝔘"


def top(*trades: dict[str, Any]) -> TaobaoTop:
    return TaobaoTop(client_for(ListGateway(list(trades))), FixedClock())


def test_emoji_and_chinese_land_in_every_text_of_a_trade(settings: Settings, land: Any) -> None:
    model = PAYLOADS["orders"]
    (lines,) = (item for item in model.fields if item.members)
    texts = {item.name: ODD for item in model.fields if item.kind == "text"}
    record = trade(1, **texts)
    line_texts = {member.name: ODD for member in lines.members if member.kind == "text"}
    record["orders"]["order"][0] |= line_texts
    result = land(top(record))
    (landed,) = read_batch(settings, result[-1])
    assert {name: landed[name] for name in texts} == texts
    assert {name: landed["orders"][0][name] for name in line_texts} == line_texts


def test_a_trade_of_ten_thousand_lines_is_one_record(settings: Settings, land: Any) -> None:
    record = trade(1)
    (line,) = record["orders"]["order"]
    record["orders"]["order"] = [{**line, "oid": str(10**18 + n)} for n in range(10_000)]
    result = land(top(record))
    (landed,) = read_batch(settings, result[-1])
    assert [one["oid"] for one in landed["orders"]] == [str(10**18 + n) for n in range(10_000)]


def test_a_trade_updated_twice_within_a_second_lands_in_both_versions(
    settings: Settings, land: Any
) -> None:
    first = land(top(trade(1, payment="10.00")))
    second = land(top(trade(1, payment="9.00")))
    found = [next(read_batch(settings, one[-1])) for one in (first, second)]
    assert [one["payment"] for one in found] == ["10.00", "9.00"]
    assert found[0]["modified"] == found[1]["modified"]
    assert first[-1].batch_id != second[-1].batch_id


def test_a_trade_without_a_buyer_is_put_aside_by_name(settings: Settings, land: Any) -> None:
    result = land(top(trade(1), trade(2, buyer_open_uid="")))
    assert result[-1].record_count == 1
    (aside,) = quarantined(settings, result[-1])
    assert aside["_reasons"] == ["buyer_open_uid: required, but missing"]


@pytest.mark.parametrize("code", [30, 31])
def test_a_machine_whose_clock_is_wrong_is_told_so(land: Any, code: int) -> None:
    source = TaobaoTop(client_for(lambda _: refusal(code, "isv.invalid-timestamp")), FixedClock())
    with pytest.raises(AuthenticationFailed, match="set this machine's clock"):
        land(source).raise_if_failed()


@pytest.mark.parametrize("name", ["total_fee", "receiver_city", "num"])
def test_a_vanished_field_that_nothing_needs_leaves_the_trade(
    settings: Settings, land: Any, name: str
) -> None:
    record = trade(1)
    record.pop(name, None)
    result = land(top(record))
    (landed,) = read_batch(settings, result[-1])
    assert name not in landed

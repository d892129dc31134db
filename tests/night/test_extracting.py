"""Extracting shops: what a refusing platform is spared, what a broken shop costs the others."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.landing.test_land_stream import flat

from regulars.credentials import Credentials
from regulars.errors import (
    LASTING,
    AuthenticationFailed,
    FileRefused,
    QuotaExhausted,
    RegularsError,
    SourceError,
    SourceUnavailable,
)
from regulars.landing import list_batches
from regulars.night import steps
from regulars.night.journal import read_entries
from regulars.night.steps import Night
from regulars.records import RawRecord, Window
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.taobao_top.payload import PAYLOADS

NIGHT = "20171003"
CREDENTIALS = Credentials("x", password=base64.b64encode(bytes(range(32))).decode())


class Platform:
    """A platform whose every call is noted; ``fails`` says what a stream's call answers."""

    name = "taobao_top"

    def __init__(self, **fails: Exception) -> None:
        self.fails = fails
        self.asked: list[tuple[str, Window]] = []
        self.closed = 0

    def streams(self) -> tuple[str, ...]:
        return ("orders", "refunds")

    def payload_model(self, stream: str) -> PayloadModel:
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        day, pieces, start = timedelta(days=1), [], window.start
        while start < window.end:
            pieces.append(Window(start, min(start + day, window.end)))
            start += day
        return pieces

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        self.asked.append((stream, window))
        if stream in self.fails:
            raise self.fails[stream]
        if stream == "orders":
            yield RawRecord(flat(len(self.asked)), "page 1 of 1, item 1")

    def close(self) -> None:
        self.closed += 1


class Present:
    """A clock that stands on the morning after the night's day."""

    def now(self) -> datetime:
        return datetime(2017, 10, 4, 6, 0, tzinfo=UTC)

    def advance_to(self, instant: datetime) -> None:
        raise AssertionError(instant)


@pytest.fixture
def platforms(monkeypatch: pytest.MonkeyPatch) -> dict[str, Platform]:
    found: dict[str, Platform] = {}
    monkeypatch.setattr(steps, "open_shop", lambda shop, *_: found[shop.shop])
    monkeypatch.setattr(steps, "clock_for", lambda _: Present())
    return found


@pytest.fixture
def night(tmp_path: Path, platforms: dict[str, Platform]) -> Night:
    document = yaml.safe_load((PROJECT_ROOT / "config" / "shops.yml").read_text())
    template = {**document["shops"][0], "api_from": "2017-10-01", "streams": ["orders", "refunds"]}
    document["shops"] = [{**template, "shop": shop} for shop in ("north", "south")]
    (tmp_path / "shops.yml").write_text(yaml.safe_dump(document))
    settings = Settings(data_dir=tmp_path / "data", config_dir=tmp_path)
    return Night(settings, lambda connection_id: CREDENTIALS, holder="test")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(steps, "report", lines.append)
    return lines


def refusal(kind: type[SourceError]) -> SourceError:
    return kind("refused (code 7)", where="taobao.x", next_step="wait")


@pytest.mark.parametrize("kind", [QuotaExhausted, AuthenticationFailed])
def test_a_platform_that_refuses_is_not_asked_again_for_anything(
    night: Night, platforms: dict[str, Platform], told: list[str], kind: type[SourceError]
) -> None:
    north = platforms["north"] = Platform(orders=refusal(kind))
    with pytest.raises(kind, match="refused"):
        night.extract_shop(f"night-{NIGHT}", "north")
    assert [stream for stream, _ in north.asked] == ["orders"]
    assert north.closed == 1
    assert any("not asked for refunds" in line for line in told)
    # Nothing counts as read: the next night asks for all of it.
    assert night.state.watermarks.get("taobao", "north", "orders") is None
    assert night.state.watermarks.get("taobao", "north", "refunds") is None


def test_a_gap_is_not_asked_either_once_the_platform_has_refused(
    night: Night, platforms: dict[str, Platform]
) -> None:
    platforms["north"] = Platform()
    night.extract_shop(f"night-{NIGHT}", "north")
    for batch in list_batches(night.settings, stream="orders"):
        if str(batch.window_date) in ("2017-10-01", "2017-10-03"):
            for path in (night.settings.landing_dir / batch.path).parent.glob("*"):
                path.unlink()
    north = platforms["north"] = Platform(orders=refusal(QuotaExhausted))
    with pytest.raises(QuotaExhausted):
        night.extract_shop(f"night-{NIGHT}", "north")
    assert len(north.asked) == 1  # of two gaps


def test_another_failure_does_not_keep_the_other_streams_from_landing(
    night: Night, platforms: dict[str, Platform]
) -> None:
    north = platforms["north"] = Platform(refunds=refusal(SourceUnavailable))
    with pytest.raises(SourceUnavailable, match="refunds"):
        night.extract_shop(f"night-{NIGHT}", "north")
    assert {stream for stream, _ in north.asked} == {"orders", "refunds"}
    assert {batch.stream for batch in list_batches(night.settings)} == {"orders"}


def test_of_several_failures_the_refusal_is_the_one_that_is_raised(
    night: Night, platforms: dict[str, Platform]
) -> None:
    platforms["north"] = Platform(
        orders=refusal(SourceUnavailable), refunds=refusal(AuthenticationFailed)
    )
    with pytest.raises(AuthenticationFailed, match="more failed"):
        night.extract_shop(f"night-{NIGHT}", "north")


def test_of_several_shops_one_broken_the_others_land_and_the_run_says_which_and_why(
    night: Night, platforms: dict[str, Platform], told: list[str]
) -> None:
    platforms["north"] = Platform(orders=refusal(SourceUnavailable))
    platforms["south"] = Platform()
    raised: dict[str, RegularsError] = {}
    for shop in ("north", "south"):
        try:
            night.extract_shop(f"night-{NIGHT}", shop)
        except RegularsError as error:
            raised[shop] = error
    assert set(raised) == {"north"}
    assert "north/orders" in str(raised["north"])
    assert "refused (code 7)" in str(raised["north"])
    assert any(line.startswith("✗ extract_shop north: refused") for line in told)
    landed = {(batch.shop, batch.stream) for batch in list_batches(night.settings)}
    assert landed == {("north", "refunds"), ("south", "orders"), ("south", "refunds")}
    # A span that failed is asked again; what landed is not.
    assert night.state.watermarks.get("taobao", "north", "orders") is None
    assert night.state.watermarks.get("taobao", "south", "orders") is not None


def test_what_the_open_source_says_of_its_depth_is_heeded(
    night: Night, platforms: dict[str, Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    plan = steps.plan_windows

    def noted(*args: Any, **kwargs: Any) -> Any:
        given.append(kwargs["depth"])
        return plan(*args, **kwargs)

    monkeypatch.setattr(steps, "plan_windows", noted)
    platforms["north"] = Platform()
    platforms["north"].depth_days = lambda: 59  # type: ignore[attr-defined]
    night.extract_shop(f"night-{NIGHT}", "north")
    assert given == [59, 59]

    def unknown() -> int:
        raise refusal(AuthenticationFailed)

    platforms["south"] = Platform()
    platforms["south"].depth_days = unknown  # type: ignore[attr-defined]
    with pytest.raises(AuthenticationFailed):
        night.extract_shop(f"night-{NIGHT}", "south")
    assert platforms["south"].asked == []


REFUNDS = "refund_id,order_id,status,created_at,refund_amount\n"


def _drop(night: Night, text: str) -> None:
    folder = night.settings.inbox_dir / "north" / "refunds"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "october.csv").write_text(text)


def _findings(night: Night) -> list[str]:
    *_, last = read_entries(night.settings, f"night-{NIGHT}")
    return list(last["findings"])


def test_a_refused_file_is_named_by_every_later_attempt_of_its_night(
    night: Night, platforms: dict[str, Platform], told: list[str]
) -> None:
    platforms["north"] = Platform()
    _drop(night, REFUNDS + "1,10")
    with pytest.raises(FileRefused, match="cut in the middle") as refused:
        night.extract_shop(f"night-{NIGHT}", "north")
    assert isinstance(refused.value, LASTING), "Airflow does not repeat it by itself"
    assert _findings(night) == [], "the attempt that refused it fails with it"
    for _ in range(2):
        night.extract_shop(f"night-{NIGHT}", "north")
        [finding] = _findings(night)
        assert "north/refunds/october.csv was refused" in finding
        assert "cut in the middle" in finding
        assert f"  {finding}" in told
    _drop(night, REFUNDS + "1,10,succeeded,2017-10-01 08:00:00,1.50\n")
    night.extract_shop(f"night-{NIGHT}", "north")
    assert _findings(night) == [], "it was delivered again"
    night.extract_shop(f"night-{NIGHT}", "north")
    assert _findings(night) == []
    _drop(night, "no header\n")
    with pytest.raises(FileRefused):
        night.extract_shop(f"night-{NIGHT}", "north")
    assert _findings(night) == []


def test_a_file_that_another_night_refused_is_not_this_nights(
    night: Night, platforms: dict[str, Platform]
) -> None:
    platforms["north"] = Platform()
    _drop(night, REFUNDS + "1,10")
    with pytest.raises(FileRefused):
        night.extract_shop("night-20171002", "north")
    night.state.lease.release("night-20171002", "test")
    night.extract_shop(f"night-{NIGHT}", "north")
    assert _findings(night) == []


def test_what_may_go_well_the_next_time_is_raised_before_a_refused_file(
    night: Night, platforms: dict[str, Platform]
) -> None:
    platforms["north"] = Platform(refunds=refusal(SourceUnavailable))
    _drop(night, REFUNDS + "1,10")
    with pytest.raises(SourceUnavailable, match=r"4 more failed: .*refunds october\.csv"):
        night.extract_shop(f"night-{NIGHT}", "north")

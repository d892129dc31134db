"""Old months stand in one file each, and landing says of every batch what it said before."""

import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from regulars.errors import LandingError
from regulars.landing import find_by_content, list_batches, read_batch, remove_debris, verify
from regulars.landing.batches import BatchWriter, Origin, Place, find_landed
from regulars.landing.compacted import COMPACTED_SUFFIX, MARK_SUFFIX
from regulars.landing.compaction import compact, finish_compaction, months_to_compact
from regulars.landing.coverage import covered
from regulars.landing.quarantine import quarantined_records
from regulars.records import BatchManifest, Window
from regulars.settings import Settings
from regulars.shops import Shop
from tests.landing.conftest import FixedClock
from tests.landing.files import files_below

SEPTEMBER = date(2017, 9, 1)
OCTOBER, NOVEMBER = date(2017, 10, 1), date(2017, 11, 1)
KILLED = 9
OPERATIONS = ("rename", "replace", "unlink", "fsync", "mkdir", "rmdir")
WHERE = ("taobao_top", "taobao", "demo_grocer")


def land(
    settings: Settings,
    shop: Shop,
    day: date,
    count: int,
    *,
    bad: int = 0,
    sha256: str | None = None,
    size: int = 1,
) -> BatchManifest:
    """A batch of a day with ``count`` records of ``size`` characters."""
    place = Place("taobao_top", "demo", "taobao", "demo_grocer", "orders", day)
    window = None if sha256 else Window(shop.day_start(day), shop.day_end(day))
    with BatchWriter(settings, place, "night-1") as writer:
        for line in range(1, count + 1):
            tid = f"{day:%m%d}{line:04d}{'0' * size}"
            writer.write(f'{{"_line":{line},"tid":"{tid}","text":"{{\\n新}}"}}\n'.encode(), 1)
        for line in range(count + 1, count + bad + 1):
            writer.quarantine(line, ["tid: missing"], {"x": str(line)})
        return writer.commit(
            Origin("api" if window else "a.csv", FixedClock().now(), window, sha256)
        )


@pytest.fixture
def september(settings: Settings, shop: Shop) -> list[BatchManifest]:
    """A month of unlike batches: empty, with refused records, larger than a frame, of a file."""
    days = (SEPTEMBER + timedelta(days=number) for number in range(30))
    batches = [
        land(settings, shop, day, number % 4, bad=number % 3) for number, day in enumerate(days)
    ]
    batches.append(land(settings, shop, SEPTEMBER, 30, size=40_000))
    batches.append(land(settings, shop, date(2017, 9, 30), 5, sha256="ab" * 32))
    return batches


def compact_all(settings: Settings, before: date = NOVEMBER) -> list[str]:
    used = {one.batch_id for one in list_batches(settings)}
    return [compact(settings, one) for one in months_to_compact(settings, before, used)]


def content(settings: Settings) -> dict[str, list[Any]]:
    """All that landing says of each batch."""
    return {
        one.batch_id: [
            one.model_dump(),
            list(read_batch(settings, one)),
            list(quarantined_records(settings, one)),
        ]
        for one in list_batches(settings)
    }


def test_a_compacted_month_says_what_its_batches_said(
    settings: Settings, shop: Shop, september: list[BatchManifest]
) -> None:
    later = land(settings, shop, OCTOBER, 2)
    before, spans = content(settings), covered(list_batches(settings))
    size = sum(path.stat().st_size for path in settings.landing_dir.rglob("*.zst"))
    [batch_id] = compact_all(settings, OCTOBER)
    assert content(settings) == before
    assert covered(list_batches(settings)) == spans
    for one in list_batches(settings):
        verify(settings, one)
    kept = [path for path in files_below(settings.landing_dir) if later.batch_id not in path]
    month = f"{'/'.join(WHERE)}/orders/2017-09/{batch_id}"
    assert kept == [f"{month}{MARK_SUFFIX}", f"{month}{COMPACTED_SUFFIX}"]
    assert (settings.landing_dir / kept[1]).stat().st_size < size / 2
    assert compact_all(settings) == [], "one batch of October alone is left as it is"


def test_what_was_quarantined_stays_with_its_batch(
    settings: Settings, september: list[BatchManifest]
) -> None:
    put_aside = files_below(settings.quarantine_dir)
    assert len(put_aside) == 20
    compact_all(settings)
    assert remove_debris(settings, *WHERE) == 0
    assert files_below(settings.quarantine_dir) == put_aside


def test_a_compacted_batch_is_known_when_it_comes_again(
    settings: Settings, shop: Shop, september: list[BatchManifest]
) -> None:
    compact_all(settings)
    files = files_below(settings.data_dir)
    again = land(settings, shop, SEPTEMBER + timedelta(days=3), 3)
    assert again.model_dump() == september[3].model_dump()
    assert files_below(settings.data_dir) == files
    platform, name = WHERE[1], WHERE[2]
    found = find_by_content(settings, platform, name, "orders", WHERE[0], "ab" * 32)
    assert found is not None and found.batch_id == september[-1].batch_id
    assert find_by_content(settings, platform, name, "orders", WHERE[0], "cd" * 32) is None
    folder = Path(september[3].path).parent
    known = find_landed(settings, folder, again.batch_id)
    assert known is not None and known.stored_in is not None
    assert find_landed(settings, folder, "other") is None


def test_only_months_that_ended_and_were_built_on_are_compacted(
    settings: Settings, shop: Shop
) -> None:
    first, last = land(settings, shop, SEPTEMBER, 1), land(settings, shop, date(2017, 9, 30), 1)
    land(settings, shop, OCTOBER, 1)
    new = land(settings, shop, SEPTEMBER, 2)
    used = {first.batch_id, last.batch_id}
    assert months_to_compact(settings, SEPTEMBER, used) == []
    assert months_to_compact(settings, OCTOBER, {first.batch_id}) == []
    [month] = months_to_compact(settings, OCTOBER, used)
    assert month.batches == (first, last)
    compact(settings, month)
    assert new in list_batches(settings), "it may still be withdrawn"


def test_what_lands_of_a_compacted_month_later_is_compacted_by_itself(
    settings: Settings, shop: Shop, september: list[BatchManifest]
) -> None:
    [first] = compact_all(settings)
    for count in (7, 8):
        land(settings, shop, SEPTEMBER, count)
    before = content(settings)
    [second] = compact_all(settings)
    assert first != second
    assert content(settings) == before
    assert len(list(settings.landing_dir.rglob(f"*{MARK_SUFFIX}"))) == 2


@pytest.mark.parametrize("how", ["missing", "cut", "other content", "noise"])
def test_damage_is_noticed_for_each_member(
    settings: Settings, september: list[BatchManifest], how: str
) -> None:
    compact_all(settings)
    [data] = settings.landing_dir.rglob(f"*{COMPACTED_SUFFIX}")
    whole = data.read_bytes()
    if how == "missing":
        data.unlink()
    elif how == "cut":
        data.write_bytes(whole[:-20])
    elif how == "noise":
        data.write_bytes(b"noise" + whole[5:])
    else:
        data.write_bytes(whole[: len(whole) // 2] + b"x" + whole[len(whole) // 2 + 1 :])
    damaged = 0
    for one in list_batches(settings):
        try:
            verify(settings, one)
        except LandingError as error:
            damaged += 1
            assert "2017-09" in error.where
    assert damaged


def test_a_damaged_mark_names_itself(settings: Settings, september: list[BatchManifest]) -> None:
    compact_all(settings)
    [mark] = settings.landing_dir.rglob(f"*{MARK_SUFFIX}")
    mark.write_text("{")
    with pytest.raises(LandingError, match="is damaged") as caught:
        list_batches(settings)
    assert caught.value.where == str(mark)


def test_a_damaged_original_leaves_its_month_as_it_is(
    settings: Settings, shop: Shop, september: list[BatchManifest]
) -> None:
    data = settings.landing_dir / september[3].path
    other = settings.landing_dir / september[2].path
    data.write_bytes(other.read_bytes())
    files = files_below(settings.landing_dir)
    with pytest.raises(LandingError, match="not what its manifest says"):
        compact_all(settings)
    finish_compaction(settings)
    assert files_below(settings.landing_dir) == files


def compact_and_die(settings: Settings, kill_at: int) -> bool:
    """Compact in a process that dies before the n-th operation; whether it did."""
    child = os.fork()
    if child == 0:
        try:
            left = iter(range(kill_at - 1, -1, -1))
            for name in OPERATIONS:
                setattr(os, name, _deadly(getattr(os, name), left))
            compact_all(settings)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def _deadly(real: Any, left: Iterator[int]) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        if next(left, 0) == 0:
            os._exit(KILLED)
        return real(*args, **kwargs)

    return run


@pytest.mark.slow
def test_killed_at_every_operation_the_month_is_whole(
    tmp_path_factory: pytest.TempPathFactory, shop: Shop
) -> None:
    kill_at, was_killed = 0, True
    while was_killed:
        kill_at += 1
        settings = Settings(data_dir=tmp_path_factory.mktemp("killed"))
        for number in range(3):
            land(settings, shop, SEPTEMBER + timedelta(days=number), number, bad=number % 2)
        before = content(settings)
        was_killed = compact_and_die(settings, kill_at)
        when = f"killed before operation {kill_at}"
        assert content(settings) == before, when
        # The next landing clears debris, the next compaction ends what was begun.
        remove_debris(settings, *WHERE)
        assert content(settings) == before, when
        finish_compaction(settings)
        compact_all(settings)
        assert content(settings) == before, when
        kinds = sorted(path.rpartition(".")[2] for path in files_below(settings.landing_dir))
        assert kinds == ["json", "zst"], when
    assert kill_at > 12

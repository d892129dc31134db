"""Batches are there whole or not at all, are found again, and notice damage."""

import errno
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
import zstandard

from regulars.errors import LandingError
from regulars.landing import list_batches, read_batch, remove_debris, verify, withdraw
from regulars.landing.batches import BatchWriter, Origin, Place, list_withdrawn
from regulars.records import BatchManifest, Window
from regulars.settings import Settings
from regulars.shops import Shop
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import files_below, quarantined

LINE = b'{"_line":1,"tid":"1"}\n'


def place(stream: str = "orders", day: int = 1) -> Place:
    return Place("taobao_top", "demo", "taobao", "demo_grocer", stream, DAY.replace(day=day))


def origin(shop: Shop) -> Origin:
    return Origin("api", FixedClock().now(), Window(shop.day_start(DAY), shop.day_end(DAY)))


def write(settings: Settings, shop: Shop, *lines: bytes, bad: int = 0, **at: Any) -> BatchManifest:
    with BatchWriter(settings, place(**at), "night-1") as writer:
        for line in lines:
            writer.write(line, 1)
        for number in range(bad):
            writer.quarantine(number, ["x: bad"], {"x": str(number)})
        return writer.commit(origin(shop))


def test_the_manifest_says_what_lies_there(settings: Settings, shop: Shop) -> None:
    batch = write(settings, shop, LINE, LINE)
    sha256 = hashlib.sha256(LINE * 2).hexdigest()
    assert re.fullmatch(rf"{place().shop}-orders-20171001-[0-9a-f]{{16}}", batch.batch_id)
    assert batch.sha256 == sha256
    assert (batch.window_start, batch.window_end) == (shop.day_start(DAY), shop.day_end(DAY))
    data = (settings.landing_dir / batch.path).read_bytes()
    assert zstandard.ZstdDecompressor().stream_reader(data).read() == LINE * 2
    assert list(read_batch(settings, batch)) == [{"_line": 1, "tid": "1"}] * 2
    assert list_batches(settings) == [batch]
    verify(settings, batch)


def test_equal_content_of_one_window_is_one_batch(settings: Settings, shop: Shop) -> None:
    assert write(settings, shop, LINE) == write(settings, shop, LINE)
    assert len(list_batches(settings)) == 1
    assert write(settings, shop, LINE, day=2).batch_id != write(settings, shop, LINE).batch_id


def test_refused_records_make_another_batch_than_no_records(settings: Settings, shop: Shop) -> None:
    empty = write(settings, shop)
    refused = write(settings, shop, bad=2)
    worse = write(settings, shop, bad=3)
    assert len({empty.batch_id, refused.batch_id, worse.batch_id}) == 3
    assert refused.sha256 == empty.sha256 == hashlib.sha256().hexdigest()
    assert [one["x"] for one in quarantined(settings, refused)] == ["0", "1"]
    assert refused.quarantine_reasons == {"x: bad": 2}


def test_reasons_are_counted_without_end(settings: Settings, shop: Shop) -> None:
    with BatchWriter(settings, place(), "night-1") as writer:
        for number in range(80):
            writer.quarantine(number, [f"reason {number}"], {})
        batch = writer.commit(origin(shop))
    assert len(batch.quarantine_reasons) == 51
    assert batch.quarantine_reasons["other reasons"] == 30


def test_batches_are_listed_in_order_and_by_name(settings: Settings, shop: Shop) -> None:
    later = write(settings, shop, LINE, day=2)
    first = write(settings, shop, LINE, stream="refunds")
    assert list_batches(settings) == [first, later]
    assert list_batches(settings, stream="orders", shop="demo_grocer") == [later]
    assert list_batches(settings, shop="other") == []


def test_leaving_without_commit_leaves_nothing(settings: Settings, shop: Shop) -> None:
    class Stop(Exception):
        pass

    with pytest.raises(Stop), BatchWriter(settings, place(), "night-1") as writer:
        writer.write(LINE, 1)
        writer.quarantine(2, ["x: bad"], {})
        raise Stop
    assert files_below(settings.data_dir) == []


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    elif how == "noise":
        path.write_bytes(b"not zstandard")
    else:
        path.write_bytes(zstandard.compress(LINE))


@pytest.mark.parametrize("how", ["missing", "cut", "noise", "other content"])
def test_damage_is_noticed(settings: Settings, shop: Shop, how: str) -> None:
    batch = write(settings, shop, LINE, LINE)
    damage(settings.landing_dir / batch.path, how)
    with pytest.raises(LandingError) as caught:
        verify(settings, batch)
    assert "orders-20171001" in caught.value.where


def test_a_damaged_manifest_names_itself(settings: Settings, shop: Shop) -> None:
    write(settings, shop, LINE)
    (marker,) = settings.landing_dir.rglob("*.manifest.json")
    marker.write_text('{"batch_id": "x"}')
    with pytest.raises(LandingError, match=marker.name):
        list_batches(settings)


def test_debris_of_killed_runs_is_removed_and_batches_stay(settings: Settings, shop: Shop) -> None:
    batch = write(settings, shop, LINE, bad=1)
    folder = settings.landing_dir / batch.path
    debris = [
        folder.with_name("orders-night-0-77.ndjson.zst.part"),
        folder.with_name("orders-20171001-0000000000000000.ndjson.zst"),
        folder.with_name(f"{batch.batch_id}.manifest.json.part"),
        settings.quarantine_dir / place().folder / "orders-20171001-0000000000000000.ndjson.zst",
    ]
    for path in debris:
        path.write_bytes(b"half")
    assert remove_debris(settings, "taobao_top", "taobao", "demo_grocer", "refunds") == 0
    assert remove_debris(settings, "taobao_top", "taobao", "other_shop") == 0
    assert remove_debris(settings, "taobao_top", "taobao", "demo_grocer") == 4
    assert not any(path.exists() for path in debris)
    verify(settings, batch)
    assert len(quarantined(settings, batch)) == 1


class FullDisk:
    """Fails the n-th call of an operation of the file system as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> None:
        self.left = call
        real = getattr(os, name)

        def full(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, full)


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3, 4, 5, 6])
def test_a_disk_that_fills_up_leaves_no_half_batch(
    settings: Settings, shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str, call: int
) -> None:
    with monkeypatch.context() as patched:
        disk = FullDisk(patched, name, call)
        try:
            write(settings, shop, LINE, bad=1)
        except LandingError as error:
            assert "no space is left" in error.what
            assert "demo_grocer" in error.where
            assert "free space" in error.next_step
        else:
            assert disk.left > 0
            return
    # Whatever was left is debris or a whole batch; the next run brings the batch into being.
    remove_debris(settings, "taobao_top", "taobao", "demo_grocer")
    batch = write(settings, shop, LINE, bad=1)
    verify(settings, batch)
    assert list_batches(settings) == [batch]
    assert len(quarantined(settings, batch)) == 1
    assert len(files_below(settings.data_dir)) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_writing(
    settings: Settings, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def open_full(path: Path, *args: Any, **kwargs: Any) -> Any:
        real(path, *args, **kwargs).close()
        return real(Path("/dev/full"), *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    with (
        pytest.raises(LandingError, match="no space is left") as caught,
        BatchWriter(settings, place(), "night-1") as writer,
    ):
        while True:
            writer.write(os.urandom(1 << 20), 1)
    assert "demo_grocer/orders" in caught.value.where
    assert files_below(settings.data_dir) == []


def test_a_withdrawn_batch_is_on_disk_before_its_commit_mark_moves(
    settings: Settings, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves a manifest without its records, and the records are gone."""
    batch = write(settings, shop, LINE, bad=1)
    safe: set[int] = set()
    fsync, move = os.fsync, Path.replace
    moved = []

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        safe.add(os.fstat(descriptor).st_ino)

    def moving(path: Path, target: Path) -> Path:
        if path.name.endswith(".manifest.json"):
            moved.append(target)
            data = Path(batch.path).name
            needed = [
                target.parent,
                *(target.with_name(f"{kind}{data}") for kind in ("", "quarantined-")),
            ]
            assert {one.stat().st_ino for one in needed} <= safe
        return move(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", moving)
    folder = withdraw(settings, batch, reason="wrong", at=FixedClock().now(), by="test")
    assert len(moved) == 1 and list_batches(settings) == []
    assert list_withdrawn(settings) == [batch]
    assert list(read_batch(settings, batch, root=settings.withdrawn_dir)) == [
        {"_line": 1, "tid": "1"}
    ]
    assert (folder / f"quarantined-{Path(batch.path).name}").exists()

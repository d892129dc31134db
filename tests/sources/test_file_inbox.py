"""The inbox: what is ready, and that taking loses nothing."""

from pathlib import Path

import pytest

from regulars.sources.file.inbox import TAKEN, Drop, find_strays, take_drops

STREAMS = ("orders", "stores")


def drop(inbox: Path, name: str, text: str = "store_id\n1\n", stream: str = "stores") -> Path:
    path = inbox / "shop" / stream / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def take(inbox: Path) -> list[Drop]:
    return list(take_drops(inbox, "shop", STREAMS))


def names(drops: list[Drop]) -> list[str]:
    return [f"{one.stream}/{one.name}" for one in drops]


def test_an_inbox_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert take(tmp_path) == []
    assert find_strays(tmp_path, "shop", STREAMS) == []


def test_files_are_taken_by_stream_and_name(tmp_path: Path) -> None:
    drop(tmp_path, "b.csv")
    drop(tmp_path, "a.XLSX")
    drop(tmp_path, "c.parquet", stream="orders")
    drops = take(tmp_path)
    assert names(drops) == ["orders/c.parquet", "stores/a.XLSX", "stores/b.csv"]
    assert [one.kind for one in drops] == ["parquet", "xlsx", "csv"]
    assert all(one.path.is_relative_to(tmp_path / TAKEN / "shop") for one in drops)
    assert not list((tmp_path / "shop").glob("*/*"))


def test_a_part_file_is_left_until_it_is_renamed(tmp_path: Path) -> None:
    part = drop(tmp_path, "a.csv.part")
    assert take(tmp_path) == []
    part.rename(part.with_suffix(""))
    assert names(take(tmp_path)) == ["stores/a.csv"]


def test_a_file_that_is_still_being_written_is_left(tmp_path: Path) -> None:
    path = drop(tmp_path, "a.csv")
    with path.open("a") as writing:
        assert take(tmp_path) == []
        writing.write("2\n")
    (taken,) = take(tmp_path)
    assert taken.path.read_text() == "store_id\n1\n2\n"


def test_an_ok_file_overrules_and_may_demand_a_content(tmp_path: Path) -> None:
    path = drop(tmp_path, "a.csv")
    drop(tmp_path, "a.csv.ok", "ABC123  a.csv\n")
    with path.open("a"):
        (taken,) = take(tmp_path)
    assert taken.expected_sha256 == "abc123"
    drop(tmp_path, "b.csv")
    drop(tmp_path, "b.csv.ok", "")
    *_, second = take(tmp_path)
    assert second.expected_sha256 == ""
    assert not list((tmp_path / "shop").glob("*/*"))


def test_a_taken_file_is_found_again_before_new_ones(tmp_path: Path) -> None:
    drop(tmp_path, "z.csv")
    next(take_drops(tmp_path, "shop", STREAMS))
    drop(tmp_path, "a.csv")
    assert names(take(tmp_path)) == ["stores/z.csv", "stores/a.csv"]
    assert names(take(tmp_path)) == ["stores/z.csv", "stores/a.csv"]


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for number in range(3):
        drop(tmp_path, "a.csv", f"store_id\n{number}\n")
        drops = take(tmp_path)
    assert [one.path.read_text() for one in drops] == [f"store_id\n{n}\n" for n in range(3)]


def test_a_finished_drop_leaves_nothing(tmp_path: Path) -> None:
    drop(tmp_path, "a.csv")
    drop(tmp_path, "a.csv.ok", "")
    (taken,) = take(tmp_path)
    taken.finish()
    taken.finish()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_ok_file_that_was_taken_alone_comes_back(tmp_path: Path) -> None:
    drop(tmp_path, "a.csv")
    (tmp_path / TAKEN / "shop" / "stores").mkdir(parents=True)
    (tmp_path / TAKEN / "shop" / "stores" / "000001-a.csv.ok").write_text("abc")
    (taken,) = take(tmp_path)
    assert taken.expected_sha256 == "abc"
    # One that a newer file has replaced is dropped.
    taken.finish()
    drop(tmp_path, "a.csv")
    drop(tmp_path, "a.csv.ok", "new")
    (tmp_path / TAKEN / "shop" / "stores" / "000001-a.csv.ok").write_text("old")
    (taken,) = take(tmp_path)
    assert taken.expected_sha256 == "new"


def test_strays_are_named_with_their_reason(tmp_path: Path) -> None:
    drop(tmp_path, "a.csv", stream="ordres")
    drop(tmp_path, "a.xls")
    drop(tmp_path, "b.csv.part")
    drop(tmp_path, "b.csv.ok")
    drop(tmp_path, ".hidden")
    (tmp_path / "shop" / "loose.csv").write_text("x")
    (tmp_path / "shop" / "empty").mkdir()
    assert find_strays(tmp_path, "shop", STREAMS) == [
        "shop/loose.csv lies outside a stream's folder",
        "shop/ordres/ is not the name of a stream",
        "shop/stores/a.xls is neither .csv, .parquet nor .xlsx",
    ]
    assert take(tmp_path) == []


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_an_ok_file_speaks_for_no_later_file_wherever_the_deletion_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    drop(tmp_path, "a.csv")
    drop(tmp_path, "a.csv.ok", "abc123")
    (taken,) = take(tmp_path)
    unlinked: list[Path] = []
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if len(unlinked) == kept:
            raise KeyboardInterrupt
        unlinked.append(path)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        if kept < 2:
            with pytest.raises(KeyboardInterrupt):
                taken.finish()
        else:
            taken.finish()
    # A later file of the same name, half written.
    later = drop(tmp_path, "a.csv", "store_id\n")
    with later.open("a"):
        left = take(tmp_path)
    # Before its deletion the first one is found again, and still has to be what it said.
    assert [one.expected_sha256 for one in left] == ["abc123"][kept:]
    assert later.exists()
    for one in left:
        one.finish()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.csv"]

"""The longest files of tests come first, so that no process is left with one at the end."""

from types import SimpleNamespace

from regulars.settings import PROJECT_ROOT
from tests.conftest import LONGEST, pytest_collection_modifyitems


def test_the_longest_files_are_files_of_tests() -> None:
    assert len(set(LONGEST)) == len(LONGEST)
    for name in LONGEST:
        assert "def test_" in (PROJECT_ROOT / name).read_text(encoding="utf-8"), name


def test_they_come_first_and_everything_else_stays_in_its_order() -> None:
    names = ["tests/a.py", LONGEST[1], "tests/b.py", LONGEST[0], "tests/a.py"]
    items = [SimpleNamespace(path=PROJECT_ROOT / name) for name in names]
    pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    found = [item.path.relative_to(PROJECT_ROOT).as_posix() for item in items]
    assert found == [LONGEST[0], LONGEST[1], "tests/a.py", "tests/b.py", "tests/a.py"]


def test_the_processes_of_make_keep_that_order() -> None:
    assert "--no-loadscope-reorder" in (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")

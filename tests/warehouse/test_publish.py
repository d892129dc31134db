"""Publishing: versioned copies, an atomic pointer, a digest of content alone."""

from pathlib import Path

import duckdb
import pytest

from regulars.errors import WarehouseError
from regulars.settings import Settings
from regulars.warehouse import publish
from regulars.warehouse.read import query_published


@pytest.fixture
def settings(tmp_path):
    made = Settings(data_dir=tmp_path, published_versions_kept=2)
    made.marts_path.parent.mkdir(parents=True)
    return made


def write_marts(settings, rows, batch="b1"):
    with duckdb.connect(str(settings.marts_path)) as connection:
        connection.execute(
            "create or replace table fct_orders (order_key int, amount decimal(18,2), "
            "_batch_id varchar)"
        )
        connection.executemany(
            "insert into fct_orders values (?, ?, ?)", [[*row, batch] for row in rows]
        )


def publish_night(settings, day):
    from datetime import date

    return publish.publish_marts(
        settings, run_id=f"night-201710{day:02}", as_of_date=date(2017, 10, day), holder="test"
    )


def test_the_pointer_shows_the_newest_version_and_old_ones_stay_readable(settings):
    write_marts(settings, [(1, "10.00")])
    first = publish_night(settings, 1)
    reader = duckdb.connect(str(settings.published_dir / first.file), read_only=True)
    write_marts(settings, [(1, "10.00"), (2, "5.50")])
    second = publish_night(settings, 2)
    assert query_published(settings, "select count(*) from fct_orders")[1] == [(2,)]
    assert reader.execute("select count(*) from fct_orders").fetchall() == [(1,)]
    assert publish.read_publication(settings) == second
    assert second.tables == {"fct_orders": 2}
    reader.close()


def test_equal_content_has_an_equal_digest_whatever_the_order_and_the_batches(settings):
    write_marts(settings, [(1, "10.00"), (2, "5.50"), (3, "0.00")], batch="b1")
    one = publish_night(settings, 1)
    write_marts(settings, [(3, "0.00"), (1, "10.00"), (2, "5.50")], batch="b2")
    assert publish_night(settings, 2).digest == one.digest


@pytest.mark.parametrize(
    "rows",
    [
        [(1, "10.00"), (2, "5.51")],
        [(1, "10.00")],
        [(1, "10.00"), (2, "5.50"), (3, "1.00")],
        [(2, "10.00"), (1, "5.50")],
    ],
)
def test_other_content_has_another_digest(settings, rows):
    write_marts(settings, [(1, "10.00"), (2, "5.50")])
    one = publish_night(settings, 1)
    write_marts(settings, rows)
    assert publish_night(settings, 1).digest != one.digest


def test_publishing_the_same_again_changes_nothing(settings):
    write_marts(settings, [(1, "10.00")])
    first = publish_night(settings, 1)
    assert publish_night(settings, 1) == first
    assert [path.name for path in settings.published_dir.glob("marts-*")] == [first.file]


@pytest.mark.parametrize("killed_before", ["current.duckdb", "current.json"])
def test_a_publication_killed_between_its_renames_is_put_right_by_the_one_before(
    settings, monkeypatch, killed_before
):
    """Night 2 moved the link and died; night 1 is repeated, and readers must see night 1."""
    write_marts(settings, [(1, "10.00")])
    first = publish_night(settings, 1)
    replace = Path.replace

    def killed(path, target):
        if Path(target).name == killed_before:
            raise KeyboardInterrupt
        return replace(path, target)

    write_marts(settings, [(1, "11.00")])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            publish_night(settings, 2)
    write_marts(settings, [(1, "10.00")])
    assert publish_night(settings, 1) == first
    assert query_published(settings, "select amount from fct_orders")[1][0][0] == 10
    assert (settings.published_dir / "current.duckdb").resolve().name == first.file


def test_a_published_file_that_somebody_deleted_is_published_anew(settings):
    write_marts(settings, [(1, "10.00")])
    first = publish_night(settings, 1)
    (settings.published_dir / first.file).unlink()
    again = publish_night(settings, 1)
    assert again.digest == first.digest
    assert query_published(settings, "select amount from fct_orders")[1][0][0] == 10


def test_old_versions_are_pruned_but_never_the_current_one(settings):
    for day in range(1, 7):
        write_marts(settings, [(1, f"{day}.00")])
        publish_night(settings, day)
    kept = sorted(path.name for path in settings.published_dir.glob("marts-*"))
    assert kept == [f"marts-night-201710{day:02}-1.duckdb" for day in (4, 5, 6)]


def test_a_full_disk_leaves_the_last_version_published(settings, monkeypatch):
    write_marts(settings, [(1, "10.00")])
    first = publish_night(settings, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish.shutil, "copyfile", full)
    write_marts(settings, [(1, "11.00")])
    with pytest.raises(WarehouseError, match="No space left on device"):
        publish_night(settings, 2)
    assert publish.read_publication(settings) == first
    assert query_published(settings, "select amount from fct_orders")[1][0][0] == 10
    assert not list(settings.published_dir.glob("*.part"))


def test_publishing_without_marts_names_the_next_step(settings):
    with pytest.raises(WarehouseError, match="no marts to publish"):
        publish_night(settings, 1)


def test_querying_before_the_first_night_says_what_to_do(settings):
    with pytest.raises(WarehouseError, match="make nightly"):
        query_published(settings, "select 1")

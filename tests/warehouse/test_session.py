"""Who has the warehouse open: waited for, and named when patience is over."""

import shutil
import subprocess
import sys
from contextlib import contextmanager

import duckdb
import pytest

from regulars.errors import WarehouseError, WarehouseLocked
from regulars.settings import PROJECT_ROOT, Settings
from regulars.transform.runner import Transformer
from regulars.warehouse.lock import foreign_lock
from regulars.warehouse.session import open_warehouse, remove_half_pair
from regulars.warehouse.tables import create_tables

READER = (
    "import duckdb, sys\n"
    "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
    "print('open', flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def settings(tmp_path):
    made = Settings(data_dir=tmp_path, warehouse_lock_seconds=1.0)
    made.warehouse_path.parent.mkdir(parents=True)
    with open_warehouse(made, holder="test") as connection:
        create_tables(connection)
    return made


@contextmanager
def foreign_reader(path):
    """Another program with a database file open; its process."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().strip() == "open"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("file", ["warehouse_path", "marts_path"])
def test_whoever_keeps_one_of_the_files_open_is_named(settings, file):
    path, waits = getattr(settings, file), []
    with (
        foreign_reader(path) as reader,
        pytest.raises(WarehouseLocked) as caught,
        open_warehouse(settings, holder="test", wait=waits.append),
    ):
        pass
    assert sum(waits) == pytest.approx(1.0)
    assert f"(pid {reader.pid}) has the warehouse open" in caught.value.what
    assert caught.value.where == str(path)
    assert "data/published/current.duckdb" in caught.value.next_step


@pytest.mark.parametrize("file", ["warehouse_path", "marts_path"])
def test_a_damaged_file_is_not_waited_for(settings, file):
    getattr(settings, file).write_bytes(b"a block of nothing, and no database")
    waits = []
    with (
        pytest.raises(WarehouseError, match="delete data/warehouse/ and run the night again"),
        open_warehouse(settings, holder="test", wait=waits.append),
    ):
        pass
    assert waits == []


def test_a_lock_is_known_by_its_message_with_and_without_a_holder():
    told = 'IO Error: Could not set lock on file "/w.duckdb": Conflicting lock is held in '
    named = foreign_lock(told + "/opt/bi/metabase (PID 17). However, you would be able to")
    assert named is not None
    assert named.what == "metabase (pid 17) has the warehouse open"
    unnamed = foreign_lock('IO Error: Could not set lock on file "/w.duckdb": unavailable')
    assert unnamed is not None
    assert unnamed.what == "another program has the warehouse open"
    assert unnamed.where == "/w.duckdb"
    assert foreign_lock('Catalog Error: Table "locks" does not exist') is None


@pytest.mark.parametrize("missing", ["warehouse_path", "marts_path"])
def test_with_one_of_the_two_files_gone_the_other_goes_too(settings, missing):
    assert not remove_half_pair(settings)
    assert settings.warehouse_path.exists() and settings.marts_path.exists()
    getattr(settings, missing).unlink()
    assert remove_half_pair(settings)
    assert not settings.warehouse_path.exists() and not settings.marts_path.exists()
    assert not remove_half_pair(settings), "nothing is no half"


@pytest.fixture(scope="module")
def impatient_project(tmp_path_factory):
    """dbt's project, that asks for a file once."""
    project = tmp_path_factory.mktemp("impatient") / "dbt_project"
    shutil.copytree(
        PROJECT_ROOT / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs")
    )
    profiles = project / "profiles.yml"
    text = profiles.read_text(encoding="utf-8")
    assert "connect_attempts: 8" in text
    profiles.write_text(text.replace("connect_attempts: 8", "connect_attempts: 1"))
    return project


@pytest.mark.slow
@pytest.mark.parametrize("file", ["warehouse_path", "marts_path"])
def test_a_reader_that_outlasts_dbts_patience_is_named_and_dbt_is_not_blamed(
    settings, impatient_project, file
):
    impatient = settings.model_copy(update={"dbt_project_dir": impatient_project})
    transformer = Transformer(impatient, lambda: 0.0)
    transformer.prepare()
    with (
        foreign_reader(getattr(settings, file)) as reader,
        pytest.raises(WarehouseLocked) as caught,
    ):
        transformer.seed()
    assert f"(pid {reader.pid}) has the warehouse open" in caught.value.what
    assert caught.value.where == str(getattr(settings, file))
    with duckdb.connect(str(getattr(settings, file))) as connection:
        assert connection.execute("select 1").fetchone() == (1,), "dbt let go of it"

"""Runs dbt on throwaway warehouses, in this process, with one parsed manifest."""

import contextlib
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult

from regulars.transform.staged import STAGED_VARIABLE, staged_models
from regulars.warehouse.tables import create_tables

PROJECT_DIR = Path(__file__).resolve().parents[2] / "dbt_project"


class DbtFailed(AssertionError):
    """A dbt invocation did not succeed; the message names what failed and why."""


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time works in ``folder``; the others wait for what it leaves there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass
class Project:
    """The dbt project, parsed once; artefacts go below ``work_dir``.

    What is the same for every process of a test run stands in ``shared_dir``: the first that needs
    it makes it.
    """

    work_dir: Path
    project_dir: Path = PROJECT_DIR
    shared_dir: Path | None = None

    @property
    def _shared(self) -> Path:
        return self.shared_dir or self.work_dir / "shared"

    @cached_property
    def manifest(self) -> Any:
        """The parsed manifest, shared by every invocation."""
        folder = self._shared / "parse"
        with alone(folder):
            # The second process reads what the first has parsed: nothing has changed since.
            result = self._invoke(dbtRunner(), ["parse"], folder, target=folder / "target")
        return result.result

    @cached_property
    def seeded(self) -> Path:
        """A closed warehouse with the source tables and the seeds, to be copied."""

        def build(directory: Path) -> None:
            with open_pair(directory):
                pass
            self.run(directory, "seed")

        return self._made("seeded", build)

    @cached_property
    def empty(self) -> Path:
        """A closed warehouse in which every model exists without rows, to be copied."""

        def build(directory: Path) -> None:
            copy_pair(self.seeded, directory)
            self.run(directory, "run", "--empty")

        return self._made("empty", build)

    def _made(self, name: str, build: Callable[[Path], None]) -> Path:
        folder = self._shared / name
        with alone(folder):
            if not (folder / "made").exists():
                build(folder)
                (folder / "made").touch()
        return folder

    def run(self, directory: Path, *arguments: str) -> list[Any]:
        """Run a dbt command on the warehouse below ``directory``; the nodes' results."""
        runner = dbtRunner(manifest=self.manifest)
        result = self._invoke(runner, list(arguments), directory)
        return list(result.result.results) if hasattr(result.result, "results") else []

    def sql_of(self, node: Any) -> str:
        """A model as it was written, with the whole queries that macros write for it."""
        queries = (
            self.manifest.macros[name].macro_sql
            for name in node.depends_on.macros
            if name.startswith("macro.regulars.")
        )
        return "\n".join([node.raw_code, *(sql for sql in queries if "\nselect\n" in sql)])

    def _invoke(
        self,
        runner: dbtRunner,
        arguments: list[str],
        directory: Path,
        target: Path | None = None,
    ) -> dbtRunnerResult:
        directory.mkdir(parents=True, exist_ok=True)
        paths = {
            "REGULARS_WAREHOUSE_PATH": str(directory / "warehouse.duckdb"),
            "REGULARS_MARTS_PATH": str(directory / "marts.duckdb"),
            "REGULARS_DBT_KEEP_OPEN": "true",
            STAGED_VARIABLE: staged_models(self.project_dir),
        }
        common = [
            "--project-dir", str(self.project_dir),
            "--profiles-dir", str(self.project_dir),
            "--target-path", str(target or self.work_dir / "target"),
            "--log-path", str(self.work_dir / "logs"),
            "--log-level-file", "none",
            "--no-write-json",
        ]  # fmt: skip
        printed = io.StringIO()
        with environment(paths), contextlib.redirect_stdout(printed):
            try:
                result = runner.invoke([*arguments[:1], *common, *arguments[1:]])
            finally:
                release_files()
        if not result.success:
            raise DbtFailed(_complaints(result) or str(result.exception) + printed.getvalue())
        return result


def copy_pair(source: Path, target: Path) -> None:
    """Copy a closed warehouse and its marts into the folder ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("warehouse.duckdb", "marts.duckdb"):
        shutil.copyfile(source / name, target / name)


def release_files() -> None:
    """Close what dbt keeps open between its models, so that the files can be opened again."""
    kept = DuckDBConnectionManager._ENV
    if kept is not None:
        kept.close()
    DuckDBConnectionManager.close_all_connections()


def _complaints(result: dbtRunnerResult) -> str:
    nodes = getattr(result.result, "results", None) or []
    bad = [node for node in nodes if str(node.status) in ("error", "fail", "runtime error")]
    return "\n".join(f"{node.node.unique_id}: {node.message}" for node in bad)


@contextlib.contextmanager
def open_pair(directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse below ``directory`` with its marts attached; source tables exist."""
    directory.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(str(directory / "warehouse.duckdb"))
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach if not exists '{directory / 'marts.duckdb'}' as marts")
        create_tables(connection)
        yield connection
    finally:
        connection.close()

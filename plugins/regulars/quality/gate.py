"""Builds suites from ``expectations/<boundary>/<table>.yml`` and decides.

``severity`` is ours to enforce: a failed critical expectation stops the night, a failed warning
is reported. An expectation that raises is critical whatever its severity says, because a check
that cannot run has proven nothing.
"""

import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.exc import ProgrammingError

from regulars.errors import ConfigError, GateFailed
from regulars.settings import Settings

_LARGEST_RECORD_BYTES = 256 * 1024 * 1024
"""As in landing; the engine sets twice as much memory aside to read with."""
_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One expectation that did not hold. ``observed`` never holds record values."""

    table: str
    expectation: str
    column: str | None
    severity: str
    observed: str
    notes: str


@dataclass
class Verdict:
    """What a gate says."""

    gate: str
    checked: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def critical(self) -> list[Finding]:
        """Findings that stop the night."""
        return [finding for finding in self.findings if finding.severity == "critical"]

    @property
    def passed(self) -> bool:
        """True when nothing critical was found."""
        return not self.critical

    def require(self) -> "Verdict":
        """Return self.

        Raises:
            GateFailed: a critical expectation failed; names table and expectation.
        """
        if self.passed:
            return self
        first = self.critical[0]
        target = f"{first.table}.{first.column}" if first.column else first.table
        more = f" and {len(self.critical) - 1} more" if len(self.critical) > 1 else ""
        raise GateFailed(
            f"{first.expectation} failed on {target}{more}: {first.observed}. {first.notes}",
            where=f"gate {self.gate}",
            next_step=_NEXT_STEPS[self.gate],
        )


_NEXT_STEPS = {
    "landing": (
        "look at the batch in data/landing and at data/reports; take a bad batch out with "
        "`regulars landing withdraw`, or correct the expectation, and run the night again"
    ),
    "marts": (
        "look at data/reports; correct the cause and run the night again. Yesterday's marts stay "
        "published and nothing was sent"
    ),
    "queues": (
        "look at data/reports; correct the campaign or the expectation and run the night again. "
        "The queue is held, nothing was sent"
    ),
}


@dataclass(frozen=True)
class Suite:
    """The expectations of one table."""

    table: str
    expectations: tuple[dict[str, Any], ...]


def read_suites(expectations_dir: Path, boundary: str) -> list[Suite]:
    """All suites of a boundary, in order of table name.

    Raises:
        ConfigError: a file has no list ``expectations`` or an entry lacks type or severity.
    """
    suites = []
    for path in sorted((expectations_dir / boundary).glob("*.yml")):
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise ConfigError(
                f"not valid YAML: {getattr(error, 'problem', error)}",
                where=f"{path}:{mark.line + 1 if mark else 1}",
                next_step="correct the line",
            ) from error
        entries = document.get("expectations")
        if not isinstance(entries, list):
            raise ConfigError(
                "the file has no list `expectations`",
                where=str(path),
                next_step="see the other files of the folder",
            )
        for number, entry in enumerate(entries, start=1):
            if "type" not in entry or entry.get("severity") not in _SEVERITIES:
                raise ConfigError(
                    f"expectation {number} needs a type and a severity of {', '.join(_SEVERITIES)}",
                    where=str(path),
                    next_step="complete the entry",
                )
        suites.append(Suite(path.stem, tuple(entries)))
    return suites


@contextmanager
def _context() -> Iterator[Any]:
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.ERROR)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        context.enable_analytics(False)
        yield context


def _datasource(context: Any, name: str, database: str, settings: Settings, read_only: bool) -> Any:
    # Said with the connection: the engine takes no other folder once it has written to one.
    spill = settings.data_dir / "tmp" / f"gate-{name}"
    spill.mkdir(parents=True, exist_ok=True)
    # The settings without which every metric raises IndexError on DuckDB.
    return context.data_sources.add_sql(
        name,
        connection_string=f"duckdb:///{database}",
        kwargs={
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "connect_args": {
                "read_only": read_only,
                "config": {
                    "memory_limit": settings.duckdb_memory_limit,
                    "threads": settings.duckdb_threads,
                    "temp_directory": str(spill),
                },
            },
        },
    )


def validate_tables(
    settings: Settings, *, gate: str, database: Path, tables: Mapping[str, str]
) -> Verdict:
    """Check tables of a DuckDB file that nobody is writing.

    Args:
        settings: limits and the folder of expectations.
        gate: ``marts`` or ``queues``.
        database: the DuckDB file.
        tables: suite name -> ``schema.table``; a suite for a table not named here is an error
            of the caller and is reported as critical.
    """
    verdict = Verdict(gate)
    suites = read_suites(settings.expectations_dir, gate)
    with _context() as context:
        source = _datasource(context, gate, str(database), settings, read_only=True)
        try:
            for suite in suites:
                if suite.table not in tables:
                    verdict.findings.append(
                        Finding(suite.table, "table", None, "critical", "the table is missing", "")
                    )
                    continue
                asset = source.add_table_asset(suite.table, table_name=tables[suite.table])
                _run_suite(context, asset, suite, verdict)
        finally:
            source.get_execution_engine().close()
            source.get_engine().dispose()
    return verdict


def validate_landing(settings: Settings, files: Mapping[str, Sequence[Path]]) -> Verdict:
    """Gate 1 over freshly landed batches.

    Args:
        settings: limits and the folder of expectations.
        files: ``<source>__<stream>`` -> data files of the new batches.
    """
    verdict = Verdict("landing")
    suites = [
        suite
        for suite in read_suites(settings.expectations_dir, "landing")
        if files.get(suite.table)
    ]
    if not suites:
        return verdict
    with _context() as context:
        # Named, so that all connections of this process see one database.
        source = _datasource(context, "landing", ":memory:landing", settings, read_only=False)
        try:
            for suite in suites:
                paths = files[suite.table]
                try:
                    _read_once(source, suite.table, paths)
                except ProgrammingError as error:
                    verdict.findings.append(_unreadable(suite.table, paths, str(error.orig)))
                    continue
                asset = source.add_table_asset(suite.table, table_name=suite.table)
                _run_suite(context, asset, suite, verdict)
                _execute(source, f"drop table {suite.table}")
        finally:
            source.get_execution_engine().close()
            source.get_engine().dispose()
    return verdict


def _read_once(source: Any, table: str, paths: Sequence[Path]) -> None:
    """Make a table of all records of ``paths``; each expectation asks it twice, files cost more.

    Raises:
        ProgrammingError: the records are no table, however many of them are looked at.
    """
    listed = ", ".join(f"'{path}'" for path in paths)
    # Detected columns, not declared ones: forced columns would hide drift.
    read = (
        f"create or replace table {table} as select * from read_json([{listed}], "
        "format = 'newline_delimited', union_by_name = true, "
        f"maximum_object_size = {_LARGEST_RECORD_BYTES}"
    )
    try:
        _execute(source, f"{read})")
    except ProgrammingError:
        # A field that changes its type behind the sample: all records say what the column is.
        _execute(source, f"{read}, sample_size = -1)")


def _unreadable(table: str, paths: Sequence[Path], said: str) -> Finding:
    """What stands in the engine's message but the value, which may be somebody's."""
    place = re.search(r'in file "([^"]+)"(?:,? in (?:line|record/value) (\d+))?', said)
    file = Path(place[1]).name if place else ", ".join(path.name for path in paths[:3])
    line = f" line {place[2]}" if place and place[2] else ""
    return Finding(
        table,
        "read",
        None,
        "critical",
        f"the records cannot be read as one table ({file}{line})",
        "",
    )


def _execute(source: Any, statement: str) -> None:
    with source.get_engine().connect() as connection:
        connection.exec_driver_sql(statement)


def _run_suite(context: Any, asset: Any, suite: Suite, verdict: Verdict) -> None:
    import great_expectations as gx

    batch = asset.add_batch_definition("whole")
    built = gx.ExpectationSuite(
        name=suite.table,
        expectations=[
            {
                "type": entry["type"],
                "kwargs": dict(entry.get("kwargs") or {}),
                "severity": entry["severity"],
                "meta": {"number": number},
            }
            for number, entry in enumerate(suite.expectations)
        ],
    )
    outcome = batch.get_batch().validate(built, result_format="BASIC")
    verdict.checked += len(suite.expectations)
    for result in outcome.results:
        if result.success:
            continue
        entry = suite.expectations[int((result.expectation_config.meta or {}).get("number", 0))]
        raised = _raised(result.exception_info)
        verdict.findings.append(
            Finding(
                table=suite.table,
                expectation=str(entry["type"]),
                column=(entry.get("kwargs") or {}).get("column"),
                severity="critical" if raised else str(entry["severity"]),
                observed=raised or _observed(result.result),
                notes=str(entry.get("notes") or ""),
            )
        )


def _raised(info: Any) -> str:
    """Message of the exception behind a result, or an empty text."""
    if not info:
        return ""
    nested = [info, *(value for value in dict(info).values() if isinstance(value, dict))]
    for item in nested:
        if item.get("raised_exception"):
            message = str(item.get("exception_message") or "unknown error").splitlines()[0]
            # A value in quotes may be somebody's.
            shown = re.sub(r"([\"']).*\1", "…", message)
            return "the expectation could not run: " + shown[:300]
    return ""


def _observed(result: Mapping[str, Any] | None) -> str:
    """Counts and aggregates only: samples of records may carry personal data."""
    result = result or {}
    value = result.get("observed_value")
    if isinstance(value, str | int | float):
        return f"observed {value}"
    if "unexpected_count" in result:
        return f"{result['unexpected_count']} unexpected of {result.get('element_count', '?')}"
    if isinstance(value, dict):
        return f"observed {json.dumps(value, default=str)[:200]}"
    return "not met"


def write_report(settings: Settings, run_id: str, verdict: Verdict) -> Path:
    """Write the verdict to ``data/reports/<run_id>/gate-<name>.json``."""
    folder = settings.reports_dir / run_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gate-{verdict.gate}.json"
    content = {
        "gate": verdict.gate,
        "passed": verdict.passed,
        "checked": verdict.checked,
        "findings": [asdict(finding) for finding in verdict.findings],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path

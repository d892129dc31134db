"""dbt inside this process.

One parsed manifest serves every invocation of a process: parsing costs seconds, an invocation
then costs its nodes. Models whose code, macros, seeds or configuration differ from the last good
night are rebuilt with all their descendants (law 2); the rebuild flag is set on the nodes, so
that unchanged models of the same invocation stay incremental.
"""

import gc
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regulars.errors import TransformFailed
from regulars.settings import Settings
from regulars.transform.staged import STAGED_VARIABLE, staged_models
from regulars.transform.variables import project_variables, variables_read
from regulars.warehouse.lock import foreign_lock, warehouse_lock

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeResult:
    """One model, seed or test of an invocation. ``seconds`` is its execution time."""

    unique_id: str
    name: str
    kind: str
    status: str
    seconds: float
    rows: int | None
    message: str


@dataclass
class BuildReport:
    """What one invocation did."""

    subject: str
    nodes: list[NodeResult] = field(default_factory=list)
    rebuilt: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Wall seconds of the invocation, dbt's own overhead included."""

    @property
    def model_seconds(self) -> float:
        """Seconds spent in models, seeds and tests."""
        return sum(node.seconds for node in self.nodes)


_STRATEGY_SUFFIX = "get_incremental_touched_sql"
_manifests: dict[str, Any] = {}
"""The parsed manifest of each project folder, for the life of this process."""
_fingerprints: dict[str, dict[str, str]] = {}
"""What :meth:`Transformer.fingerprints` says of each parsed manifest."""
_PARSING_AHEAD_SECONDS = 180.0
"""Ten times what parsing takes: whoever needs longer is stuck, and the night parses itself."""
_parsing_ahead: "dict[str, subprocess.Popen[bytes]]" = {}
"""Processes that parse a project folder for this one to read."""


class Transformer:
    """Runs the dbt project against one installation's warehouse.

    Args:
        settings: where project and warehouse are.
        clock: monotonic seconds, for the reports.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock

    def prepare(self) -> None:
        """Parse the project now; a thread may do it while the engine loads.

        Raises:
            TransformFailed: the project cannot be parsed; names the file.
        """
        self._parsed()

    def prepare_ahead(self) -> None:
        """Let a process of its own parse the project, if none has been parsed for this data folder.

        What is read of it afterwards takes a second instead of ten. Nothing depends on its
        success: whoever needs the project waits for it and parses what it did not.
        """
        settings = self._settings
        project = str(settings.dbt_project_dir)
        parsed_before = self._parse_store.exists() or self._shared_store.exists()
        if project in _manifests or project in _parsing_ahead or parsed_before:
            return
        log = settings.data_dir / "logs" / "dbt-parse.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            _parsing_ahead[project] = subprocess.Popen(
                [sys.executable, "-m", "regulars.transform"], stdout=file, stderr=file
            )

    @property
    def _parse_store(self) -> Path:
        return self._settings.data_dir / "dbt_target" / "partial_parse.msgpack"

    @property
    def _shared_store(self) -> Path:
        """What any installation of this checkout parsed last, for those that parsed nothing yet.

        It names the project's folder: a copied project must not read its seeds from the original.
        """
        project = self._settings.dbt_project_dir.resolve()
        name = hashlib.sha256(str(project).encode()).hexdigest()[:12]
        return project / "target" / f"parsed-{name}.msgpack"

    def _take_shared(self) -> None:
        """Begin with what another installation parsed: dbt reads what differs from it."""
        if not self._parse_store.exists() and self._shared_store.exists():
            _copy_parsed(self._shared_store, self._parse_store)

    def _share_parsed(self) -> None:
        """Leave what was parsed beside the project, unless it lies there already."""
        own, shared = self._parse_store, self._shared_store
        if not shared.exists() or (own.exists() and shared.stat().st_mtime < own.stat().st_mtime):
            _copy_parsed(own, shared)

    def fingerprints(self) -> dict[str, str]:
        """Fingerprint (hex) of every model and seed.

        Made of its code, its macros, the project's variables that either reads, its configuration
        and the names of what it reads.
        """
        project = str(self._settings.dbt_project_dir)
        manifest = self._parsed()
        if project not in _fingerprints:
            _fingerprints[project] = self._fingerprints_of(manifest)
        return dict(_fingerprints[project])

    def _fingerprints_of(self, manifest: Any) -> dict[str, str]:
        result = {}
        variables = project_variables(self._settings.dbt_project_dir)
        for unique_id, node in manifest.nodes.items():
            if node.resource_type.value not in ("model", "seed"):
                continue
            digest = hashlib.sha256()
            digest.update(node.checksum.checksum.encode())
            config = {
                key: str(value)
                for key, value in sorted(node.unrendered_config.items())
                if key not in ("description", "docs", "meta")
            }
            digest.update(json.dumps(config, sort_keys=True).encode())
            digest.update(json.dumps(_contract(node), sort_keys=True).encode())
            # A union without the source whose folder was taken away is another model.
            digest.update(json.dumps(sorted(_parents(node))).encode())
            macros = [manifest.macros[macro].macro_sql for macro in self._macros_of(node)]
            for macro in macros:
                digest.update(macro.encode())
            read = variables_read([node.raw_code, *macros], variables)
            digest.update(json.dumps(read, sort_keys=True, default=str).encode())
            result[unique_id] = digest.hexdigest()
        return result

    def changed_with_descendants(self, good: Mapping[str, str]) -> set[str]:
        """Models and seeds that differ from ``good`` fingerprints, and all that descends from them.

        An empty ``good`` (a new warehouse) changes nothing: everything is built anyway.
        """
        if not good:
            return set()
        found = self.fingerprints()
        return self._with_descendants(
            [name for name, value in found.items() if good.get(name) != value]
        )

    def _with_descendants(self, unique_ids: Iterable[str]) -> set[str]:
        """These models and seeds and all that descends from them."""
        manifest = self._parsed()
        found = self.fingerprints()
        queue = list(unique_ids)
        children = manifest.child_map or _child_map(manifest)
        stale: set[str] = set()
        while queue:
            unique_id = queue.pop()
            if unique_id in stale or unique_id not in found:
                continue
            stale.add(unique_id)
            queue.extend(children.get(unique_id, []))
        return stale

    def readers_of(self, tables: Iterable[str]) -> set[str]:
        """Models that read one of these source tables (``config.campaigns``), and descendants."""
        manifest = self._parsed()
        wanted = set(tables)
        found = self.fingerprints()
        sources = [
            unique_id
            for unique_id, one in manifest.sources.items()
            if f"{one.source_name}.{one.name}" in wanted
        ]
        return self._with_descendants(
            [
                unique_id
                for unique_id in found
                if not set(sources).isdisjoint(_parents(manifest.nodes[unique_id]))
            ]
        )

    def seeds_of(self, unique_ids: Iterable[str]) -> set[str]:
        """Those of ``unique_ids`` that are seeds."""
        return {name for name in unique_ids if name.startswith("seed.")}

    def raw_tables_of(self, unique_ids: Iterable[str]) -> set[str]:
        """``<source>__<stream>`` of every raw table that one of these models reads."""
        manifest = self._parsed()
        found = set()
        for unique_id in unique_ids:
            node = manifest.nodes.get(unique_id)
            for parent in _parents(node) if node is not None else ():
                one = manifest.sources.get(parent)
                if one is not None and one.source_name == "raw":
                    found.add(one.name)
        return found

    def unfed_staging(self, pending_tables: set[str], good: Mapping[str, str]) -> set[str]:
        """Unique ids of staging models that have nothing to do, and of views, which never have.

        A staging model reads pending batches only: unchanged since the last good night and
        without a pending batch in its raw tables, it would replace nothing by nothing. A view
        that is unchanged shows what its tables hold by now; one that is checked is built, for its
        check to come along.

        Args:
            pending_tables: ``<source>__<stream>`` of every pending batch.
            good: fingerprints of the last good night; a model it does not name was never built.
        """
        manifest = self._parsed()
        found = self.fingerprints()
        # dbt leaves out a check with the view it looks at, and what the view reads is new.
        checked = {
            parent
            for node in manifest.nodes.values()
            if node.resource_type.value == "test"
            for parent in _parents(node)
        }
        idle = set()
        for unique_id, node in manifest.nodes.items():
            if node.resource_type.value != "model" or good.get(unique_id) != found[unique_id]:
                continue
            sources = [manifest.sources.get(parent) for parent in _parents(node)]
            read = {one.name for one in sources if one is not None and one.source_name == "raw"}
            is_unfed = node.fqn[1] == "staging" and bool(read) and not read & pending_tables
            is_view = node.config.materialized == "view" and unique_id not in checked
            if is_unfed or is_view:
                idle.add(unique_id)
        return idle

    def build(
        self,
        subject: str,
        select: Iterable[str],
        rebuild: set[str],
        skip: Iterable[str] = (),
    ) -> BuildReport:
        """``dbt build`` of a selection, without unit tests.

        Args:
            subject: name of the step, for the report.
            select: dbt selectors.
            rebuild: unique ids to build from scratch.
            skip: unique ids to leave out; one that is to be rebuilt is built all the same.

        Raises:
            TransformFailed: names the first failed model or test and its message.
        """
        select = list(select)
        arguments = ["build", "--exclude-resource-type", "unit_test", "--select", *select]
        left_out = self._selectors(select, set(skip) - rebuild)
        if left_out:
            arguments += ["--exclude", *left_out]
        return self._invoke(subject, arguments, rebuild)

    def _selectors(self, select: list[str], unique_ids: set[str]) -> list[str]:
        """As few selectors as name those of ``unique_ids`` that ``select`` may hold.

        dbt walks the whole graph three times for each selector. A folder of which nothing is
        built is one selector; what bears none of the selected tags needs none.
        """
        tags = {one.removeprefix("tag:") for one in select if one.startswith("tag:")}
        models = [
            node for node in self._parsed().nodes.values() if node.resource_type.value == "model"
        ]
        built = {tuple(node.fqn[1:-1]) for node in models if node.unique_id not in unique_ids}
        found = set()
        for node in models:
            if node.unique_id in unique_ids and (tags & set(node.tags) or len(tags) < len(select)):
                folder = tuple(node.fqn[1:-1])
                # Models of this project have no namesakes.
                found.add(node.name if folder in built else ".".join(folder))
        return sorted(found)

    def run(self, subject: str, select: Iterable[str], rebuild: set[str]) -> BuildReport:
        """``dbt run`` of a selection: models alone, their tests come with the subject's build.

        Raises:
            TransformFailed: names the first failed model and its message.
        """
        return self._invoke(subject, ["run", "--select", *select], rebuild)

    def seed(self) -> BuildReport:
        """Load the seeds.

        Raises:
            TransformFailed: names the first seed that does not fit its types.
        """
        return self._invoke("seeds", ["seed", "--full-refresh"], set())

    def _invoke(self, subject: str, arguments: list[str], rebuild: set[str]) -> BuildReport:
        from dbt.cli.main import dbtRunner

        from regulars.transform.invocations import leave_out_debug_events, link_once

        leave_out_debug_events()
        manifest = self._parsed()
        flagged = [
            node
            for unique_id, node in manifest.nodes.items()
            if unique_id in rebuild and node.resource_type.value == "model"
        ]
        for node in flagged:
            node.config.full_refresh = True
        started = self._clock()
        try:
            with (
                warehouse_lock(
                    self._settings.warehouse_path,
                    holder=f"dbt {subject}",
                    wait_seconds=self._settings.warehouse_lock_seconds,
                ),
                self._environment(),
                link_once(),
                redirect_stdout(io.StringIO()) as output,
                redirect_stderr(io.StringIO()),
            ):
                try:
                    outcome = dbtRunner(manifest=manifest).invoke([*arguments, *self._flags()])
                    results = getattr(outcome.result, "results", [])
                    violations = {
                        result.node.unique_id: _violations(result.node)
                        for result in results
                        if str(result.status) == "fail"
                    }
                finally:
                    _close_database()
        finally:
            for node in flagged:
                node.config.full_refresh = None
        report = BuildReport(
            subject=subject,
            nodes=[
                _node_result(result, violations.get(result.node.unique_id, ""))
                for result in results
            ],
            rebuilt=sorted(node.name for node in flagged),
            seconds=self._clock() - started,
        )
        if not outcome.success:
            self._raise(subject, report, outcome.exception, output.getvalue())
        return report

    def _raise(
        self, subject: str, report: BuildReport, exception: BaseException | None, output: str
    ) -> None:
        failed = [node for node in report.nodes if node.status in ("error", "fail")]
        _logger.error("dbt output of %s:\n%s", subject, output[-8000:])
        # Neither code nor data is wrong when a foreign reader outlasted dbt's retries.
        for said in (*(node.message for node in failed[:1]), str(exception)):
            if locked := foreign_lock(said):
                raise locked from exception
        if failed:
            first = failed[0]
            raise TransformFailed(
                f"{first.kind} {first.name} failed: {_first_lines(first.message)}",
                where=f"dbt {subject}",
                next_step=(
                    f"read data/reports and docs/runbooks/night-failed.md, correct "
                    f"{first.name}, run the night again; published marts stay the last good ones"
                ),
            )
        raise TransformFailed(
            f"dbt could not start: {_first_lines(str(exception))}",
            where=f"dbt {subject}",
            next_step="run `dbt parse` in dbt_project/ and correct what it names",
        ) from exception

    def _parsed(self) -> Any:
        project = str(self._settings.dbt_project_dir)
        if project not in _manifests:
            if ahead := _parsing_ahead.pop(project, None):
                try:
                    ahead.wait(_PARSING_AHEAD_SECONDS)
                except subprocess.TimeoutExpired:
                    ahead.kill()
                    ahead.wait()
            from dbt.cli.main import dbtRunner

            logging.getLogger("dbt").setLevel(logging.ERROR)
            self._take_shared()
            with self._environment(of_parsing=True):
                outcome = dbtRunner().invoke(["parse", *self._flags()])
            if not outcome.success or outcome.result is None:
                raise TransformFailed(
                    f"the dbt project cannot be parsed: {_first_lines(str(outcome.exception))}",
                    where=str(self._settings.dbt_project_dir),
                    next_step="correct the file that the message names",
                ) from outcome.exception
            _manifests[project] = outcome.result
            self._share_parsed()
            # Half a million objects that live as long as the process: the collector need not walk
            # them again and again, which costs every invocation up to a second.
            gc.freeze()
        return _manifests[project]

    def _macros_of(self, node: Any) -> list[str]:
        manifest = self._parsed()
        queue = list(node.depends_on.macros) if hasattr(node, "depends_on") else []
        # dbt finds a strategy by its name, not by a call in the model.
        queue += [name for name in manifest.macros if name.endswith(_STRATEGY_SUFFIX)]
        # A materialization as well.
        if hasattr(node.config, "materialized"):
            own = f"macro.regulars.materialization_{node.config.materialized}_"
            queue += [name for name in manifest.macros if name.startswith(own)]
        seen: set[str] = set()
        while queue:
            macro = queue.pop()
            # dbt's own macros change with dbt's version, which the run manifest records.
            if macro in seen or not macro.startswith("macro.regulars."):
                continue
            seen.add(macro)
            queue.extend(manifest.macros[macro].depends_on.macros)
        return sorted(seen)

    def _flags(self) -> list[str]:
        project = str(self._settings.dbt_project_dir)
        target = str(self._settings.data_dir / "dbt_target")
        return [
            "--project-dir", project,
            "--profiles-dir", project,
            "--target-path", target,
            "--target", "nightly",
            # Results are read from the invocation; writing the manifest anew costs a second each.
            "--no-write-json",
            "--cache-selected-only",
            # A check comes with the last of its models, whichever subject the others belong to.
            "--indirect-selection", "buildable",
        ]  # fmt: skip

    def _environment(self, *, of_parsing: bool = False) -> "_Environment":
        """What profile and flags read.

        dbt parses everything again when the connection differs from that of the last parse. No
        model depends on paths or limits, so that all installations of a checkout parse with the
        same ones.
        """
        settings = self._settings
        connection = {
            "REGULARS_WAREHOUSE_PATH": settings.warehouse_path,
            "REGULARS_MARTS_PATH": settings.marts_path,
            "REGULARS_DUCKDB_THREADS": settings.duckdb_threads,
            "REGULARS_DUCKDB_MEMORY_LIMIT": settings.duckdb_memory_limit,
        }
        if of_parsing:
            connection = {
                "REGULARS_WAREHOUSE_PATH": settings.warehouse_path.name,
                "REGULARS_MARTS_PATH": settings.marts_path.name,
                "REGULARS_DUCKDB_THREADS": 1,
                "REGULARS_DUCKDB_MEMORY_LIMIT": "1GB",
            }
        return _Environment(
            {
                **{name: str(value) for name, value in connection.items()},
                "REGULARS_DBT_KEEP_OPEN": "true",
                # What changed is rebuilt, and checked in that.
                "REGULARS_CONTRACTS": "changed",
                STAGED_VARIABLE: staged_models(settings.dbt_project_dir),
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                "DBT_LOG_PATH": str(settings.data_dir / "logs" / "dbt"),
                "DBT_LOG_LEVEL": "none",
                "DBT_LOG_LEVEL_FILE": "info",
                "DBT_USE_COLORS": "false",
                "DBT_VERSION_CHECK": "false",
            }
        )


class _Environment:
    """Environment variables for the length of a ``with`` block."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._values}
        os.environ.update(self._values)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _close_database() -> None:
    """Close what dbt keeps open, so that the file is free again."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
        DuckDBConnectionManager.close_all_connections()


def _copy_parsed(source: Path, target: Path) -> None:
    """Copy a whole file into place; without it (a folder that is not ours to write) dbt parses."""
    scratch = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, scratch)
        scratch.replace(target)
    except OSError as error:
        _logger.debug("what dbt parsed is not copied to %s: %s", target, error)


def _contract(node: Any) -> dict[str, str]:
    return {name: str(column.data_type) for name, column in sorted(node.columns.items())}


def _parents(node: Any) -> list[str]:
    return list(getattr(node.depends_on, "nodes", []))


def _child_map(manifest: Any) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {}
    for unique_id, node in manifest.nodes.items():
        for parent in _parents(node):
            children.setdefault(parent, []).append(unique_id)
    return children


def _violations(node: Any) -> str:
    """What a failed check found; dbt itself tells how many rows only.

    Our checks give rows of ``violation`` and ``violation_count``, which name columns and never show
    what stands in them. Call it while dbt's database is still open.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    connection = getattr(DuckDBConnectionManager._ENV, "conn", None)
    if connection is None:
        return ""
    with connection.cursor() as cursor:
        found = cursor.execute(f"select * from ({node.compiled_code}) order by all limit 5")
        # A check of somebody else's may give rows of any kind.
        if [column[0] for column in found.description] != ["violation", "violation_count"]:
            return ""
        return "; ".join(f"{violation} ({count:,})" for violation, count in found.fetchall())


def _node_result(result: Any, violations: str) -> NodeResult:
    rows = (result.adapter_response or {}).get("rows_affected")
    return NodeResult(
        unique_id=result.node.unique_id,
        name=result.node.name,
        kind=result.node.resource_type.value,
        status=str(getattr(result.status, "value", result.status)),
        seconds=float(result.execution_time or 0.0),
        rows=int(rows) if isinstance(rows, int) and rows >= 0 else None,
        message=violations or str(result.message or ""),
    )


def _first_lines(text: str, count: int = 4) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:count])[:600]

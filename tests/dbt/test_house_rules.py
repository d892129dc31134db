"""The house rules that the models' manifest can show."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.project import Project, open_pair

FORBIDDEN = {
    "a clock": r"\b(now\(|current_date|current_timestamp|today\(|get_current_time|localtime)",
    "select distinct, which hides a fan-out": r"\bselect\s+distinct\b",
    "either of two columns for a contact, so that each meets every row": (
        r"_hash\s+in\s*\(\s*[a-z_]+\.[a-z_]+\s*,"
    ),
    "a relation that is not a ref": r"\b(from|join)\s+[a-z_]+\.[a-z_]+",
}
PREFIXES = {
    "staging": r"stg_(?P<source>[a-z_]+?)__[a-z_]+",
    "intermediate": r"int_[a-z_]+__[a-z_]+",
    "marts": r"(dim|fct|mart)_[a-z0-9_]+",
    "activation": r"queue_[a-z_]+__[a-z_]+",
}
TYPES = {
    r".*_at": {"timestamp"},
    r".*_date": {"date"},
    r".*_amount": {"decimal(18,2)"},
    r"(is|has)_.*": {"boolean"},
    r".*_key": {"uuid"},
    r".*_count": {"bigint", "integer"},
}


def _models(project: Project) -> Iterator[Any]:
    for node in project.manifest.nodes.values():
        if node.resource_type == "model":
            yield node


def _layer(node: Any) -> str:
    return str(node.original_file_path).split("/")[1]


def _code(project: Project, node: Any) -> str:
    """The model's SQL without comments, configuration and expressions."""
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", project.sql_of(node), flags=re.S)
    text = re.sub(r"\{\{.*?\}\}", "{{}}", text, flags=re.S)
    return re.sub(r"--[^\n]*", "", text).lower()


@pytest.mark.parametrize("reason", FORBIDDEN)
def test_no_model_uses_what_the_house_forbids(project: Project, reason: str) -> None:
    guilty = [
        node.name for node in _models(project) if re.search(FORBIDDEN[reason], _code(project, node))
    ]
    assert guilty == [], f"uses {reason}"


def _order_keys(sql: str) -> Iterator[str]:
    """The keys of every window's ``order by``."""
    for match in re.finditer(r"\bover\s*\(|\bwindow\s+\w+\s+as\s*\(", sql):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        ordered = sql[match.end() : end - 1].partition("order by")[2]
        ordered = re.split(r"\b(?:rows|range) between", ordered)[0]
        yield from (key.strip() for key in re.split(r",(?![^()]*\))", ordered) if key.strip())


def test_every_window_says_where_nulls_stand(project: Project) -> None:
    guilty = [
        f"{node.name}: {key}"
        for node in _models(project)
        for key in _order_keys(_code(project, node))
        # A key from a macro says it there; `x is null` is never null itself.
        if key != "{{}}" and "nulls last" not in key and " is " not in key
    ]
    assert guilty == []


def test_names_tell_the_layer(project: Project) -> None:
    for node in _models(project):
        assert re.fullmatch(PREFIXES[_layer(node)], node.name), node.name
        if _layer(node) == "staging":
            folder = Path(node.original_file_path).parent.name
            assert node.name.startswith(f"stg_{folder}__"), node.name


def test_descriptions_begin_with_the_grain(project: Project) -> None:
    without = [n.name for n in _models(project) if not n.description.startswith("One row per")]
    assert without == []


def test_every_column_is_described_and_exists(project: Project, empty_warehouse: Path) -> None:
    complaints = []
    with open_pair(empty_warehouse) as connection:
        for node in _models(project):
            described = connection.execute(f"describe {node.relation_name}").fetchall()
            actual = [row[0] for row in described]
            documented = [name for name, column in node.columns.items() if column.description]
            if sorted(actual) != sorted(documented):
                difference = sorted(set(actual) ^ set(documented))
                complaints.append(f"{node.name}: {difference}")
    assert complaints == []


def _columns(relation: str, directory: Path) -> list[tuple[str, str]]:
    with open_pair(directory) as connection:
        return [(row[0], row[1]) for row in connection.execute(f"describe {relation}").fetchall()]


@pytest.mark.parametrize("entity", ["orders", "order_lines", "refunds"])
def test_every_source_is_staged_in_one_grammar(
    project: Project, empty_warehouse: Path, entity: str
) -> None:
    union = next(node for node in _models(project) if node.name == f"int_{entity}__unioned")
    grammar = _columns(union.relation_name, empty_warehouse)
    assert [name for name, _ in grammar] == list(union.columns)
    staged = [node for node in _models(project) if node.name.endswith(f"__{entity}")]
    assert {"stg_file", "stg_taobao_top"} <= {node.name.split("__")[0] for node in staged}
    for node in staged:
        assert _columns(node.relation_name, empty_warehouse) == grammar, node.name


def test_pushed_and_dropped_receipts_have_one_grammar(
    project: Project, empty_warehouse: Path
) -> None:
    grammar = _columns("warehouse.intermediate.int_receipts__unioned", empty_warehouse)
    for name in ("stg_file__receipts", "stg_receipts__receipts"):
        assert _columns(f"warehouse.staging.{name}", empty_warehouse) == grammar, name


def test_no_rule_goes_by_the_name_of_a_source(project: Project) -> None:
    sources = {node.fqn[2] for node in _models(project) if _layer(node) == "staging"}
    for node in _models(project):
        if _layer(node) == "intermediate" and node.fqn[2] in ("orders", "customers"):
            named = {source for source in sources if f"'{source}'" in node.raw_code}
            assert named == set(), f"{node.name}: say it with a flag in seed source_ranks"


def test_marts_and_queues_keep_a_contract(project: Project) -> None:
    for node in _models(project):
        if _layer(node) not in ("marts", "activation"):
            continue
        assert node.config.contract.enforced, node.name
        for column in node.columns.values():
            assert column.data_type, f"{node.name}.{column.name} has no type"


def test_a_view_among_the_marts_reads_marts_alone(project: Project) -> None:
    """It is copied with the published file, where nothing else stands beside it."""
    for node in _models(project):
        if _layer(node) in ("marts", "activation") and node.config.materialized == "view":
            for parent_id in node.depends_on.nodes:
                parent = project.manifest.nodes.get(parent_id)
                assert parent is not None and _layer(parent) == "marts", (node.name, parent_id)
                assert parent.config.materialized != "view", f"{node.name}: {parent_id} is one too"


def test_columns_of_marts_carry_a_chinese_label(project: Project) -> None:
    without = [
        f"{node.name}.{column.name}"
        for node in _models(project)
        if _layer(node) == "marts"
        for column in node.columns.values()
        if not column.config.meta.get("label_zh")
    ]
    assert without == []


def test_a_columns_name_tells_its_type(project: Project) -> None:
    complaints = []
    for node in _models(project):
        for column in node.columns.values():
            for pattern, types in TYPES.items():
                kind = (column.data_type or "").replace(" ", "").lower()
                if kind and re.fullmatch(pattern, column.name) and kind not in types:
                    complaints.append(f"{node.name}.{column.name} is {column.data_type}")
    assert complaints == []


def test_layers_read_only_what_they_may(project: Project) -> None:
    manifest = project.manifest
    for node in _models(project):
        layer = _layer(node)
        for parent_id in node.depends_on.nodes:
            parent = manifest.nodes.get(parent_id) or manifest.sources[parent_id]
            what = f"{node.name} reads {parent.name}"
            if parent.resource_type == "source":
                allowed = parent.source_name in ("ops", "config") or layer in (
                    "staging",
                    "intermediate",
                )
                assert allowed, what
                state = parent.name.startswith("state__")
                assert parent.source_name != "raw" or state or layer == "staging", what
            elif parent.resource_type == "model":
                assert not (layer == "marts" and _layer(parent) == "staging"), what
                assert layer != "staging" or _layer(parent) == "staging", what
                assert _layer(parent) != "activation" or layer == "activation", what


def test_every_mart_and_queue_has_a_key_check(project: Project) -> None:
    checked = set()
    for node in project.manifest.nodes.values():
        if node.resource_type == "test" and "nightly" in node.tags:
            stem = Path(node.original_file_path).stem
            # A check of its own is named for its model, a subject's names them.
            named = re.findall(r"broken_(?:keys|proposals)\(\s*ref\('(\w+)'\)", node.raw_code)
            for parent in node.depends_on.nodes:
                name = project.manifest.nodes[parent].name
                if name in named or stem.startswith(f"assert_{name}_"):
                    checked.add(parent)
    without = [
        node.name
        for node in _models(project)
        if _layer(node) in ("marts", "activation") and node.unique_id not in checked
    ]
    assert without == []


def test_incremental_models_never_go_by_a_high_water_mark(project: Project) -> None:
    for node in _models(project):
        if node.config.materialized == "incremental":
            assert node.config.incremental_strategy == "touched", node.name
            assert node.config.on_schema_change == "fail", node.name
            assert {"touched_relation", "touched_key"} <= set(node.config.meta), node.name
            assert "{{ this }}" not in node.raw_code, node.name


def test_every_subject_has_a_tag_to_be_run_by(project: Project) -> None:
    subjects = {"core", "members", "campaigns", "value", "activation"}
    for node in _models(project):
        assert len(subjects & set(node.tags)) == 1, f"{node.name}: {node.tags}"


def test_seeds_say_why(project: Project) -> None:
    without = []
    for node in project.manifest.nodes.values():
        # What is published is a dictionary, not numbers that somebody chose.
        if node.resource_type == "seed" and node.database != "marts":
            path = project.project_dir / node.original_file_path
            header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
            if "reason" not in header:
                without.append(node.name)
    assert without == []

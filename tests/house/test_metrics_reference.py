"""The dictionary of metrics is what the marts' yml says, and no column says too little."""

import csv
import io
from pathlib import Path

import pytest

from tests.house.scripts import load_script

SHARED = "{% docs col_brand %}\nBrand; never crossed.\n{% enddocs %}\n"
PROJECT = """
name: shop
models:
  shop:
    marts:
      +meta: {owner: data}
      members:
        +meta: {owner: member operations}
"""
MART = """
models:
  - name: mart_churn
    description: "One row per brand: churn."
    columns:
      - {name: brand, description: '{{ doc("col_brand") }}', data_type: varchar,
         config: {meta: {label_zh: 品牌}}}
      - {name: lost_count, description: Lost., data_type: bigint,
         config: {meta: {label_zh: 流失, unit: members}}}
      - {name: churn_rate, description: Lost by kept., data_type: double,
         config: {meta: {label_zh: 流失率, formula: lost_count / kept_count}}}
"""


def write_project(folder: Path, mart: str = MART, project: str = PROJECT) -> Path:
    marts = folder / "models" / "marts" / "members"
    marts.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(project, encoding="utf-8")
    (folder / "models" / "shared_columns.md").write_text(SHARED, encoding="utf-8")
    (marts / "mart_churn.yml").write_text(mart, encoding="utf-8")
    return folder


def test_metrics_reference_is_what_the_models_say() -> None:
    reference = load_script("write_metrics_reference")
    marts = reference.read_marts()
    assert reference.PAGE.read_text(encoding="utf-8") == reference.render_page(marts), (
        "run: make docs"
    )
    assert reference.SEED.read_text(encoding="utf-8") == reference.render_seed(marts), (
        "run: make docs"
    )


def test_every_published_table_of_models_is_in_it() -> None:
    reference = load_script("write_metrics_reference")
    written = {path.stem for path in (reference.PROJECT / "models" / "marts").rglob("*.sql")}
    assert {mart.name for mart in reference.read_marts()} == written


def test_a_column_tells_definition_unit_formula_and_owner(tmp_path: Path) -> None:
    reference = load_script("write_metrics_reference")
    marts = reference.read_marts(write_project(tmp_path))
    rows = list(csv.DictReader(io.StringIO(reference.render_seed(marts))))
    told = [
        (row["column_name"], row["definition"], row["unit"], row["formula"], row["owner"])
        for row in rows
    ]
    assert told == [
        ("brand", "Brand; never crossed.", "text", "", "member operations"),
        ("lost_count", "Lost.", "members", "", "member operations"),
        (
            *("churn_rate", "Lost by kept.", "share, 0 to 1"),
            *("lost_count / kept_count", "member operations"),
        ),
    ]
    assert {row["grain"] for row in rows} == {"One row per brand"}
    assert "| `churn_rate` | 流失率 | share, 0 to 1 | Lost by kept. Formula: " in (
        reference.render_page(marts)
    )


def test_another_meaning_is_another_hash(tmp_path: Path) -> None:
    reference = load_script("write_metrics_reference")
    one = reference.read_marts(write_project(tmp_path / "one"))[0].metrics
    other = reference.read_marts(
        write_project(tmp_path / "other", MART.replace("lost_count / kept_count", "lost / all"))
    )[0].metrics
    changed = [
        here.column_name
        for here, there in zip(one, other, strict=True)
        if here.definition_hash != there.definition_hash
    ]
    assert changed == ["churn_rate"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (", formula: lost_count / kept_count", "", "mart_churn.churn_rate is a ratio"),
        ("label_zh: 流失, unit", "unit", "mart_churn.lost_count has no label_zh"),
        ("name: churn_rate", "name: churn", "mart_churn.churn: its name tells no unit"),
    ],
)
def test_a_column_that_says_too_little_is_refused(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    reference = load_script("write_metrics_reference")
    with pytest.raises(reference.MetricError, match=complaint):
        reference.read_marts(write_project(tmp_path, MART.replace(old, new)))


def test_a_mart_without_an_owner_is_refused(tmp_path: Path) -> None:
    reference = load_script("write_metrics_reference")
    nobody = "name: shop\nmodels: {shop: {marts: {}}}\n"
    with pytest.raises(reference.MetricError, match="mart_churn has no owner"):
        reference.read_marts(write_project(tmp_path, project=nobody))

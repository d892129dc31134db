"""Formulas and seeds that members, queues and the exit have in common."""

import csv
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from regulars.state.proposals import message_id_of
from tests.dbt.project import PROJECT_DIR, Project

SEEDS = PROJECT_DIR / "seeds"
BUCKETS = {
    ("camp_2025_d11", "M000001"): 7820,
    ("camp_2025_d11", "M000002"): 4634,
    ("camp_2025_d12", "M000001"): 4952,
    ("ugc_2025", "M000001"): 8245,
    ("camp_2025_d11", "会员42"): 7566,
}


def _seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _call(macro: str, *arguments: str) -> str:
    quoted = ", ".join(f'"{argument}"' for argument in arguments)
    return "{{ " + macro + "(" + quoted + ") }}"


def _evaluate(project: Project, directory: Path, expressions: list[str]) -> list[object]:
    columns = ", ".join(f"{text} as c{number}" for number, text in enumerate(expressions))
    results = project.run(directory, "show", "--inline", f"select {columns}", "--output", "json")
    row = results[0].agate_table.rows[0]
    return [row[f"c{number}"] for number in range(len(expressions))]


def test_buckets_and_message_ids_are_the_published_ones(
    project: Project, empty_warehouse: Path
) -> None:
    key = UUID("00000000-0000-0000-0000-0000000000a1")
    found = _evaluate(
        project,
        empty_warehouse,
        [
            *(_call("holdout_bucket", f"'{salt}'", f"'{member}'") for salt, member in BUCKETS),
            _call("message_id", "'gift'", f"cast('{key}' as uuid)", "'sms'", "'o1'"),
        ],
    )
    assert [int(str(bucket)) for bucket in found[:-1]] == list(BUCKETS.values())
    assert found[-1] == message_id_of("gift", key, "sms", "o1")


def test_every_cell_of_the_matrix_has_an_action() -> None:
    counts = {row["count_stage"] for row in _seed("count_stages")} - {"prospect"}
    windows = {row["activity_stage"] for row in _seed("lifecycle_windows")}
    cells = {f"{count}_{window}" for count in counts for window in windows}
    assert len(cells) == 12
    actions = _seed("lifecycle_actions")
    assert {row["cell_code"] for row in actions} == cells | {"prospect", "dead"}
    assert all(row["next_action"] and row["next_action_zh"] for row in actions)


@pytest.mark.parametrize(
    "name",
    [
        "lifecycle_windows",
        "count_stages",
        "aov_bands",
        "rfm_frequency_cuts",
        "metric_parameters",
        "attribution_windows",
        "message_caps",
    ],
)
def test_every_number_has_a_unit_and_a_reason(name: str) -> None:
    rows = _seed(name)
    assert rows
    assert all(row["unit"] and row["reason"] for row in rows)


def test_reasons_have_a_precedence_of_their_own() -> None:
    rows = _seed("suppression_reasons")
    assert sorted(int(row["precedence"]) for row in rows) == list(range(1, len(rows) + 1))
    retried = {row["reason"] for row in rows if row["is_final"] == "false"}
    assert retried == {"cap", "quiet", "recent_order"}


def test_a_whole_profile_weighs_one() -> None:
    rows = _seed("profile_fields")
    fields: dict[str, set[tuple[str, ...]]] = {}
    for row in rows:
        said = (row["kind"], row["weight"], row["ask_rank"], row["label_zh"])
        fields.setdefault(row["field"], set()).add(said)
    assert all(len(said) == 1 for said in fields.values()), "rows of a field disagree"
    whole = [next(iter(said)) for said in fields.values()]
    assert sum(Decimal(weight) for _, weight, _, _ in whole) == 1
    asked = sorted(int(rank) for kind, _, rank, _ in whole if kind == "attribute")
    assert asked == list(range(1, len(asked) + 1))


def test_reasons_to_stay_away_have_an_order() -> None:
    rows = _seed("churn_evidence")
    ranks: dict[str, set[str]] = {}
    for row in rows:
        ranks.setdefault(row["evidence_rank"], set()).add(row["evidence"])
    # A rank is one kind of evidence's, so that no two reasons are told at once.
    assert all(len(evidence) == 1 for evidence in ranks.values())
    assert max(rows, key=lambda row: int(row["evidence_rank"]))["evidence"] == "none"
    assert {row["churn_reason"] for row in rows} == {
        "dissatisfied", "unresolved_problem", "no_contact", "own_reason", "unknown",
    }  # fmt: skip

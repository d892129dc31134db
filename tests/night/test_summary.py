"""What the summary of a night says of stages and scores."""

import io
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from regulars.night import summary
from regulars.settings import Settings


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Answers given for the published tables, and what is printed of them."""

    marts = duckdb.connect()

    def query(_: Settings, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        answer = marts.execute(text)
        return [column[0] for column in answer.description or []], answer.fetchall()

    monkeypatch.setattr(summary, "query_published", query)
    settings = Settings(data_dir=tmp_path)

    def show(renderable: Any) -> list[list[str]]:
        out = io.StringIO()
        Console(file=out, width=200).print(renderable(settings))
        lines = out.getvalue().replace("│", " ").replace("┃", " ").splitlines()
        return [line.split() for line in lines]

    return marts, show, settings


def test_the_flow_of_this_month_adds_up_by_rows_and_columns(printed: Any) -> None:
    marts, show, _ = printed
    marts.execute(
        """
        create table mart_stage_flows as
        from (values
            (date '2017-02-01', 'none', 'new_active', 99),
            (date '2017-03-01', 'none', 'new_active', 3),
            (date '2017-03-01', 'none', 'prospect', 1),
            (date '2017-03-01', 'new_active', 'new_silent', 4),
            (date '2017-03-01', 'loyal_active', 'loyal_silent', 2),
            (date '2017-03-01', 'loyal_active', 'loyal_active', 5),
            (date '2017-03-01', 'new_lost', 'dead', 6),
            (date '2017-03-01', 'fan_lost', 'fan_active', 0)
        ) as flows (month_start_date, from_cell_code, to_cell_code, member_count)
        """
    )
    rows = show(summary._flow_table)
    assert "2017-03" in rows[0]
    assert ["none", "1", "3", "0", "0", "0"] in rows
    assert ["active", "0", "5", "6", "0", "0", "11"] in rows
    assert ["lost", "0", "0", "0", "0", "6", "6"] in rows
    assert ["today", "1", "8", "6", "0", "6"] in rows


def test_churn_is_told_with_what_it_is_made_of(printed: Any) -> None:
    marts, _, settings = printed
    marts.execute(
        """
        create table mart_churn_monthly as
        from (values
            ('b', date '2017-02-01', true, 1, 1, 1.0::double, 1, 1, 1.0::double),
            ('b', date '2017-03-01', false, 5, 40, 0.125::double, 30, 1200, 0.025::double),
            ('c', date '2017-03-01', true, 0, 0, null, 0, 0, null)
        ) as churn (
            brand, month_start_date, is_complete, lost_count, opening_kept_count, churn_rate,
            closing_lost_count, closing_buyer_count, lost_share
        )
        """
    )
    assert summary._churn_lines(settings) == [
        "b 2017-03 so far: churn 12.5% (5 lost of 40), lost in all 2.5% (30 of 1,200 buyers)",
        "c 2017-03: churn cannot tell (0 lost of 0), lost in all cannot tell (0 of 0 buyers)",
    ]


@pytest.mark.parametrize("unscored", [0, 2])
def test_the_grid_of_scores_has_the_best_on_top(printed: Any, unscored: int) -> None:
    marts, show, _ = printed
    marts.execute(
        "create table mart_member_rfm (recency_score integer, frequency_cut_score integer)"
    )
    marts.execute("insert into mart_member_rfm values (5, 1), (5, 1), (5, 5), (1, 2)")
    for _ in range(unscored):
        marts.execute("insert into mart_member_rfm values (null, 1)")
    rows = show(summary._rfm_table)
    scored = [row for row in rows if row and row[0].startswith("R")]
    assert scored[0] == ["R5", "2", "0", "0", "0", "1", "3"]
    assert scored[-1] == ["R1", "0", "1", "0", "0", "0", "1"]
    assert (["no", "cut", "points", "2", "0", "0", "0", "0", "2"] in rows) == (unscored > 0)


def test_an_empty_shop_has_tables_without_members(printed: Any) -> None:
    marts, show, _ = printed
    marts.execute(
        """
        create table mart_stage_flows (
            month_start_date date, from_cell_code varchar, to_cell_code varchar,
            member_count bigint
        )
        """
    )
    assert ["today", "0", "0", "0", "0", "0"] in show(summary._flow_table)

"""The closing summary of a night: what a person wants to know before going to bed."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from regulars.night.journal import latest_entries
from regulars.settings import Settings
from regulars.warehouse.read import published_path, query_published

_SLOWEST = 5

FIRST_QUERY = """\
import duckdb
marts = duckdb.connect("{path}", read_only=True)
marts.sql("select cell_code, count(*) as members from mart_member_lifecycle group by all").show()"""

_COUNT_STAGES = ("prospect", "new", "returning", "loyal", "fan")
_ACTIVITY_STAGES = ("active", "silent", "lost", "dead")
_FLOW_STAGES = ("prospect", *_ACTIVITY_STAGES)
_SCORES = range(1, 6)


def print_summary(settings: Settings, run_id: str, console: Console) -> None:
    """Print rows per stage, members per cell, messages with reasons, seconds and where to look."""
    entries = latest_entries(settings, run_id)
    by_step: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_step.setdefault(entry["step"], []).append(entry)
    console.rule(f"[bold]{run_id}")
    console.print(_rows_table(by_step))
    console.print(_cells_table(settings))
    console.print(_flow_table(settings))
    for line in _churn_lines(settings):
        console.print(line, markup=False, highlight=False)
    console.print(_rfm_table(settings))
    console.print(_messages_table(by_step))
    reconciled = _reconciliation_table(settings)
    if reconciled is not None:
        console.print(reconciled)
    console.print(_seconds_table(entries))
    console.print(_models_line(entries))
    for finding in (text for entry in entries for text in entry.get("findings", [])):
        console.print(f"finding: {finding}", markup=False)
    _print_pointer(settings, by_step, console)


def _rows_table(by_step: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(title="Rows per stage", title_justify="left")
    table.add_column("stage")
    table.add_column("what")
    table.add_column("rows", justify="right")
    for entry in by_step.get("extract_shop", []):
        for stream, count in sorted(entry.get("landed", {}).items()):
            table.add_row("landed", f"{entry['shop']} {stream}", f"{count:,}")
        for stream, count in sorted(entry.get("quarantined", {}).items()):
            table.add_row("quarantined", f"{entry['shop']} {stream}", f"{count:,}")
    for entry in by_step.get("load_raw", []):
        table.add_row("raw", "all streams", f"{sum(entry.get('rows', {}).values()):,}")
    for entry in by_step.get("publish_marts", []):
        for name, count in sorted(entry.get("tables", {}).items()):
            table.add_row("published", name, f"{count:,}")
    return table


def _cells_table(settings: Settings) -> Table:
    table = Table(title="Members per lifecycle cell", title_justify="left")
    table.add_column("")
    for activity in _ACTIVITY_STAGES:
        table.add_column(activity, justify="right")
    table.add_column("total", justify="right")
    _, rows = query_published(
        settings,
        "select count_stage, activity_stage, count(*) from mart_member_lifecycle group by all",
    )
    counts = {(stage, activity): count for stage, activity, count in rows}
    for stage in _COUNT_STAGES:
        total = sum(count for (found, _), count in counts.items() if found == stage)
        cells = [f"{counts.get((stage, activity), 0):,}" for activity in _ACTIVITY_STAGES]
        table.add_row(stage, *cells, f"{total:,}")
    table.add_row("total", *[""] * len(_ACTIVITY_STAGES), f"{sum(counts.values()):,}")
    return table


def _flow_table(settings: Settings) -> Table:
    """This month's moves between groups of cells; who stayed put stands on the diagonal."""
    month, rows = _this_month(
        settings,
        """
        select
            flows.month_start_date,
            flows.from_cell_code,
            flows.to_cell_code,
            sum(flows.member_count)
        from mart_stage_flows as flows
        where
            flows.month_start_date = (select max(month_start_date) from mart_stage_flows)
            and flows.member_count > 0
        group by all
        """,
    )
    counts: dict[tuple[str, str], int] = {}
    for start, end, count in rows:
        way = _activity(start), _activity(end)
        counts[way] = counts.get(way, 0) + int(count)
    table = Table(
        title=f"Members from their stage at the opening of {month} (rows) to today's (columns)",
        title_justify="left",
    )
    table.add_column("")
    for end in (*_FLOW_STAGES, "opening"):
        table.add_column(end, justify="right")
    for start in ("none", *_FLOW_STAGES):
        ways = [counts.get((start, end), 0) for end in _FLOW_STAGES]
        opening = "" if start == "none" else f"{sum(ways):,}"
        table.add_row(start, *(f"{count:,}" for count in ways), opening)
    closing = [
        sum(counts.get((s, end), 0) for s in ("none", *_FLOW_STAGES)) for end in _FLOW_STAGES
    ]
    table.add_row("today", *(f"{count:,}" for count in closing), "")
    return table


def _this_month(settings: Settings, query: str) -> tuple[str, list[tuple[Any, ...]]]:
    _, rows = query_published(settings, query)
    month = f"{rows[0][0]:%Y-%m}" if rows else "the month"
    return month, [row[1:] for row in rows]


def _activity(cell: str) -> str:
    """Activity of a cell: the end of its code, or the whole of none, prospect and dead."""
    return cell.rpartition("_")[2]


def _churn_lines(settings: Settings) -> list[str]:
    """Flow and stock churn of each brand's newest month, with what they are made of."""
    _, rows = query_published(
        settings,
        """
        select
            brand, month_start_date, is_complete, lost_count, opening_kept_count, churn_rate,
            closing_lost_count, closing_buyer_count, lost_share
        from mart_churn_monthly
        qualify row_number() over (partition by brand order by month_start_date desc) = 1
        order by brand
        """,
    )
    return [
        f"{brand} {month:%Y-%m}{'' if whole else ' so far'}: churn {_share(rate)} "
        f"({lost:,} lost of {kept:,}), lost in all {_share(stock)} ({gone:,} of {buyers:,} buyers)"
        for brand, month, whole, lost, kept, rate, gone, buyers, stock in rows
    ]


def _share(rate: float | None) -> str:
    return "cannot tell" if rate is None else f"{rate:.1%}"


def _rfm_table(settings: Settings) -> Table:
    """Buyers by scores of recency and frequency (fixed cuts), 5 is best."""
    _, rows = query_published(
        settings,
        "select recency_score, frequency_cut_score, count(*) from mart_member_rfm group by all",
    )
    counts = {(recency, frequency): count for recency, frequency, count in rows}
    table = Table(title="Buyers by R (rows) and F (columns), 5 is best", title_justify="left")
    table.add_column("")
    for frequency in _SCORES:
        table.add_column(f"F{frequency}", justify="right")
    table.add_column("total", justify="right")
    unscored = any(recency is None for recency, _ in counts)
    for recency in (*reversed(_SCORES), *([None] if unscored else [])):
        cells = [counts.get((recency, frequency), 0) for frequency in _SCORES]
        name = "no cut points" if recency is None else f"R{recency}"
        table.add_row(name, *(f"{count:,}" for count in cells), f"{sum(cells):,}")
    return table


def _messages_table(by_step: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(title="Messages decided", title_justify="left")
    table.add_column("campaign")
    for name in ("considered", "sent", "holdout", "suppressed"):
        table.add_column(name, justify="right")
    table.add_column("why not")
    for entry in by_step.get("commit", []):
        for result in entry.get("campaigns", []):
            reasons = ", ".join(
                f"{reason} {count:,}"
                for reason, count in sorted(result["reasons"].items(), key=lambda item: -item[1])
            )
            if result["is_reread"]:
                reasons = f"decided before ({reasons})" if reasons else "decided before"
            table.add_row(
                result["campaign"],
                *(f"{result[name]:,}" for name in ("considered", "sent", "holdout", "suppressed")),
                reasons,
            )
    for entry in by_step.get("export", []):
        held = ", ".join(f"{reason} {count:,}" for reason, count in entry["suppressed"].items())
        exported = f"{entry.get('exported', 0):,}"
        table.add_row(
            "exported to the queue", "", exported, "", "", held and f"at the exit: {held}"
        )
    return table


def _reconciliation_table(settings: Settings) -> Table | None:
    """Ours beside the platform's for each shop's newest report; None when none was delivered."""
    _, rows = query_published(
        settings,
        """
        select
            shop, report_date, paid_order_count, platform_paid_order_count, paid_amount,
            platform_paid_amount, refund_amount, platform_refund_amount, verdict,
            count(*) filter (where verdict in ('equal', 'within_tolerance')) over shops,
            count(*) over shops
        from mart_platform_reconciliation
        window shops as (partition by shop)
        qualify row_number() over (partition by shop order by report_date desc) = 1
        order by shop
        """,
    )
    if not rows:
        return None
    table = Table(
        title="Ours, and how far from the platform's own report (= equal, ? not reported)",
        title_justify="left",
    )
    table.add_column("shop", no_wrap=True)
    table.add_column("day", no_wrap=True)
    for name in ("orders paid", "paid", "refunded"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("agree", justify="right", no_wrap=True)
    for shop, day, orders, their_orders, paid, their_paid, back, their_back, *rest in rows:
        verdict, agreeing, days = rest
        table.add_row(
            shop,
            str(day),
            _beside(orders, their_orders),
            _beside(paid, their_paid),
            _beside(back, their_back),
            verdict,
            f"{agreeing:,}/{days:,}",
        )
    return table


def _beside(ours: Any, theirs: Any) -> str:
    if theirs is None:
        return f"{ours:,} ?"
    return f"{ours:,} =" if ours == theirs else f"{ours:,} ({ours - theirs:+,})"


def _seconds_table(entries: list[dict[str, Any]]) -> Table:
    table = Table(title="Seconds", title_justify="left")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("of these in models", justify="right")
    for entry in entries:
        if entry.get("seconds", 0) < 0.05:
            continue
        models = entry.get("model_seconds")
        name = " ".join(filter(None, [entry["step"], entry.get("shop")]))
        table.add_row(name, f"{entry['seconds']:.1f}", f"{models:.1f}" if models else "")
    total = sum(entry.get("seconds", 0) for entry in entries)
    models_total = sum(entry.get("model_seconds", 0) for entry in entries)
    table.add_row("[bold]all steps", f"[bold]{total:.1f}", f"[bold]{models_total:.1f}")
    return table


def _models(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        for node in entry.get("models", []):
            if node["kind"] == "model":
                yield node


def _models_line(entries: list[dict[str, Any]]) -> str:
    slowest = sorted(_models(entries), key=lambda node: -node["seconds"])[:_SLOWEST]
    return "Slowest models: " + ", ".join(
        f"{node['name']} {node['seconds']:.1f} s" for node in slowest
    )


def _print_pointer(
    settings: Settings, by_step: dict[str, list[dict[str, Any]]], console: Console
) -> None:
    for entry in by_step.get("publish_marts", []):
        console.print(
            f"Published {entry['file']} as of {entry['as_of_date']}, digest {entry['digest']}",
            markup=False,
            highlight=False,
        )
    for entry in by_step.get("export", []):
        for place in entry.get("places", []):
            console.print(f"Send queue: {place}", markup=False, highlight=False)
    console.print("Try first:", style="bold")
    console.print(FIRST_QUERY.format(path=published_path(settings)), markup=False, highlight=False)

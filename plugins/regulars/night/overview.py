"""What there is: nights, publication, lease, batches."""

from typing import Any

from rich.console import Console
from rich.table import Table

from regulars.errors import LandingError
from regulars.landing import list_batches, verify
from regulars.night.manifest import read_manifest
from regulars.settings import Settings
from regulars.state import StateStore
from regulars.warehouse.publish import read_publication

_NIGHTS_SHOWN = 14
_ROWS_SHOWN = 200


def print_status(settings: Settings, console: Console) -> None:
    """The last nights, what is published and who holds the lease."""
    state = StateStore(settings.resolved_state_url)
    table = Table(title="Nights", title_justify="left")
    for name in ("run", "batches", "digest", "published file"):
        table.add_column(name)
    names = sorted((path.stem for path in settings.runs_dir.glob("night-*.json")), reverse=True)
    for name in [name for name in names if "." not in name][:_NIGHTS_SHOWN]:
        manifest = read_manifest(settings, name)
        if manifest:
            table.add_row(
                name,
                f"{len(manifest.batches):,}",
                manifest.digest[:12] or "not completed",
                manifest.published_file,
            )
    console.print(table)
    publication = read_publication(settings)
    if publication:
        console.print(
            f"Published: {publication.file} as of {publication.as_of_date}", highlight=False
        )
    else:
        console.print("Nothing is published yet.")
    lease = state.lease.current()
    holder = f"{lease.holder} holds it for {lease.run_id}" if lease else "free"
    console.print(f"Lease: {holder}", markup=False, highlight=False)


def print_rows(names: list[str], rows: list[tuple[Any, ...]], console: Console) -> None:
    """A query's answer: a table, or one column under another where a table would not fit."""
    texts = [["" if value is None else str(value) for value in row] for row in rows[:_ROWS_SHOWN]]
    widths = [max([len(name), *(len(row[n]) for row in texts)]) for n, name in enumerate(names)]
    if sum(widths) + 3 * len(names) < console.width:
        table = Table(*names)
        for row in texts:
            table.add_row(*row)
        console.print(table)
    else:
        for number, row in enumerate(texts, start=1):
            console.rule(f"row {number}", align="left")
            for name, value in zip(names, row, strict=True):
                console.print(f"{name:<{max(map(len, names))}}  {value}", markup=False)
    if len(rows) > _ROWS_SHOWN:
        console.print(f"… {len(rows) - _ROWS_SHOWN:,} more rows")


def print_batches(settings: Settings, console: Console) -> None:
    """Every batch in landing."""
    table = Table(title="Landing", title_justify="left")
    for name in ("shop", "stream", "date", "batch"):
        table.add_column(name)
    for name in ("records", "quarantined"):
        table.add_column(name, justify="right")
    for batch in sorted(list_batches(settings), key=lambda b: (b.shop, b.window_date, b.batch_id)):
        table.add_row(
            batch.shop,
            batch.stream,
            str(batch.window_date),
            batch.batch_id,
            f"{batch.record_count:,}",
            f"{batch.quarantined_count:,}",
        )
    console.print(table)


def verify_batches(settings: Settings, console: Console) -> bool:
    """Read every batch again and compare it with its checksum; True when all are whole."""
    damaged = 0
    batches = list_batches(settings)
    for batch in batches:
        try:
            verify(settings, batch)
        except LandingError as error:
            damaged += 1
            console.print(str(error), markup=False, highlight=False)
    console.print(f"{len(batches) - damaged:,} batches are whole, {damaged:,} are not")
    return damaged == 0

"""What there is: nights, publication, lease, batches."""

from contextlib import closing
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from regulars.clock import Clock, clock_for
from regulars.credentials import CredentialsProvider
from regulars.errors import LandingError, RegularsError
from regulars.landing import landing_gaps, list_batches, open_shop, span_text, verify
from regulars.landing.coverage import covered
from regulars.night.manifest import read_manifest
from regulars.night.tokens import RenewedTokens
from regulars.records import Window
from regulars.settings import Settings
from regulars.shops import Shop, load_shops
from regulars.sources import asked_streams
from regulars.state import StateStore
from regulars.vault import open_vault
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


def check_credentials(
    settings: Settings, credentials: CredentialsProvider, shop_code: str, console: Console
) -> bool:
    """Ask each shop's platform for the last hour and say what it answers; True when all accept.

    Nothing lands.

    Raises:
        ConfigError: there is no such shop.
    """
    shops = load_shops(settings.shops_path)
    chosen = [shops.shop(shop_code)] if shop_code else list(shops.shops)
    clock = clock_for(settings.clock_url)
    accepted = True
    for shop in chosen:
        if shop.source == "file" or shop.connection is None:
            console.print(f"{shop.shop}: files only, nothing to check", highlight=False)
            continue
        try:
            with open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault:
                tokens = RenewedTokens(credentials, StateStore(settings.resolved_state_url), vault)
                _call_once(shop, tokens, clock)
            console.print(f"{shop.shop}: {shop.source} accepts the connection", highlight=False)
        except RegularsError as error:
            accepted = False
            console.print(f"{shop.shop}: {error}", markup=False, highlight=False, style="red")
    return accepted


def _call_once(shop: Shop, tokens: RenewedTokens, clock: Clock) -> None:
    with closing(open_shop(shop, tokens, clock, tokens.keep)) as source:
        now = clock.now()
        stream = source.streams()[0]
        for piece in source.windows(shop, stream, Window(now - timedelta(hours=1), now))[-1:]:
            next(iter(source.iter_records(shop, stream, piece)), None)


def print_windows(settings: Settings, shop_code: str, console: Console) -> None:
    """Watermark, covered spans and gaps of each of a shop's streams.

    Raises:
        ConfigError: there is no such shop.
    """
    shop = load_shops(settings.shops_path).shop(shop_code)
    state = StateStore(settings.resolved_state_url)
    first = shop.day_start(shop.api_from or shop.first_date)
    for stream in asked_streams(shop) if shop.source != "file" else ():
        mark = state.watermarks.get(shop.platform, shop.shop, stream)
        read = f"read until {mark.astimezone(shop.tzinfo).isoformat()}" if mark else "never read"
        console.print(f"{stream}: {read}", highlight=False)
        batches = list_batches(settings, source=shop.source, shop=shop.shop, stream=stream)
        for span in covered(batches):
            console.print(f"  landed {span_text(shop, span)}", highlight=False)
        if mark is not None and mark > first:
            for gap in landing_gaps(settings, shop, stream, Window(first, mark)):
                console.print(
                    f"  missing {span_text(shop, gap)}", highlight=False, style="bold red"
                )


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

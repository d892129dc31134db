"""Backfill: land days of a shop from its API. It only lands; the next night absorbs any order."""

import os
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from regulars.clock import Clock, clock_for
from regulars.credentials import CredentialsProvider
from regulars.errors import NightError
from regulars.landing import land_stream
from regulars.night import calendar
from regulars.night.tokens import RenewedTokens
from regulars.progress import report
from regulars.records import Window
from regulars.settings import Settings
from regulars.shops import Shop, load_shops
from regulars.sources import asked_streams
from regulars.state import StateStore
from regulars.vault import open_vault


def days_between(first: str, last: str) -> Iterator[date]:
    """Every day from ``first`` to ``last``, both included.

    Raises:
        NightError: one is no date, or they are the wrong way round.
    """
    day, end = calendar.parse_date(first), calendar.parse_date(last)
    if end < day:
        raise NightError(
            f"the range ends before it begins ({first} to {last})",
            where="backfill",
            next_step="swap the two dates",
        )
    while day <= end:
        yield day
        day += timedelta(days=1)


def backfill_day(
    settings: Settings, credentials: CredentialsProvider, shop_code: str, day: date
) -> str:
    """Land one local day (by modification time) of every API stream of a shop; a line that says so.

    Raises:
        NightError: the shop has no API.
        LeaseHeld: a night, or another backfill, is landing.
        RegularsError: a window failed; what could be landed is landed.
    """
    shop = load_shops(settings.shops_path).shop(shop_code)
    if shop.source == "file":
        raise NightError(
            f"shop {shop.shop} has no API",
            where="config/shops.yml",
            next_step=f"drop its files into data/inbox/{shop.shop}/<stream>/",
        )
    counts: list[str] = []
    clock = clock_for(settings.clock_url)
    state = StateStore(settings.resolved_state_url)
    run_id = f"backfill-{day:%Y%m%d}"
    holder = f"backfill of {shop.shop} (pid {os.getpid()})"

    def progress(line: str) -> None:
        state.lease.heartbeat(run_id, holder)
        report(line)

    # Landing clears the debris of killed landings: only one of them may be at it.
    state.lease.acquire(run_id, holder, settings.lease_seconds, pid=os.getpid())
    try:
        with state.lease.beating(run_id, holder, settings.lease_seconds):
            _land_day(settings, credentials, shop, day, clock, run_id, counts, progress)
    finally:
        state.lease.release(run_id, holder)
    return f"{shop.shop} {day}: {', '.join(counts)}"


def _land_day(
    settings: Settings,
    credentials: CredentialsProvider,
    shop: Shop,
    day: date,
    clock: Clock,
    run_id: str,
    counts: list[str],
    progress: Callable[[str], None],
) -> None:
    with open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault:
        tokens = RenewedTokens(credentials, StateStore(settings.resolved_state_url), vault)
        for stream in asked_streams(shop):
            window = Window(shop.day_start(day), shop.day_end(day))
            result = land_stream(
                settings,
                shop,
                stream,
                tokens,
                clock,
                window,
                vault,
                run_id,
                progress,
                keep_tokens=tokens.keep,
            )
            result.raise_if_failed()
            counts.append(f"{stream} {sum(batch.record_count for batch in result):,}")

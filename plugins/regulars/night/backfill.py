"""Backfill: land days of a shop from its API. It only lands; the next night absorbs any order.

What has landed is not asked for again unless somebody wants it, so a backfill that was interrupted
or failed is continued by the same command. A source with bulk operations is asked for the whole
range at once, another one day by day.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from regulars.clock import clock_for
from regulars.credentials import CredentialsProvider
from regulars.errors import REFUSALS, NightError
from regulars.landing import LandingResult, land_stream, landing_gaps, merge_results
from regulars.night import calendar
from regulars.night.tokens import RenewedTokens
from regulars.progress import report
from regulars.records import Window
from regulars.settings import Settings
from regulars.shops import Shop, load_shops
from regulars.sources import asked_streams, reads_spans
from regulars.state import StateStore
from regulars.vault import Vault, open_vault


@dataclass(frozen=True)
class Days:
    """Days of a shop, both ends included; as text ``2017-10-01`` or ``2017-10-01/2017-10-31``."""

    first: date
    last: date

    @classmethod
    def parse(cls, text: str) -> "Days":
        """What ``str`` of one gives.

        Raises:
            NightError: one is no date, or they are the wrong way round.
        """
        first, _, last = text.partition("/")
        found = cls(calendar.parse_date(first), calendar.parse_date(last or first))
        if found.last < found.first:
            raise NightError(
                f"the range ends before it begins ({first} to {last})",
                where="backfill",
                next_step="swap the two dates",
            )
        return found

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}/{self.last}"

    def each(self) -> Iterator["Days"]:
        """Its days, one by one."""
        for number in range((self.last - self.first).days + 1):
            day = self.first + timedelta(days=number)
            yield Days(day, day)


def spans_between(settings: Settings, shop_code: str, first: str, last: str) -> list[Days]:
    """What a range of days (both included) is landed in, oldest first.

    Raises:
        NightError: a date is none, they are the wrong way round, or the shop has no API.
    """
    whole = Days.parse(f"{first}/{last}")
    return [whole] if reads_spans(_api_shop(settings, shop_code).source) else list(whole.each())


def backfill_span(
    settings: Settings,
    credentials: CredentialsProvider,
    shop_code: str,
    days: Days,
    *,
    again: bool = False,
) -> str:
    """Land local days (by modification time) of every API stream of a shop; a line that says so.

    Args:
        settings: where landing stands.
        credentials: gives the shop's connection.
        shop_code: whose days.
        days: which.
        again: ask for what has landed as well.

    Raises:
        NightError: the shop has no API.
        LeaseHeld: a night, or another backfill, is landing.
        RegularsError: a window failed and is named; what could be landed is landed.
    """
    shop = _api_shop(settings, shop_code)
    state = StateStore(settings.resolved_state_url)
    run_id = f"backfill-{days.first:%Y%m%d}"
    holder = f"backfill of {shop.shop} (pid {os.getpid()})"
    # Landing clears the debris of killed landings: only one of them may be at it.
    state.lease.acquire(run_id, holder, settings.lease_seconds, pid=os.getpid())
    try:
        with (
            state.lease.beating(run_id, holder, settings.lease_seconds),
            open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault,
        ):
            backfill = _Backfill(settings, credentials, shop, state, run_id, holder, vault)
            counts = backfill.land(days, again=again)
    finally:
        state.lease.release(run_id, holder)
    return f"{shop.shop} {days}: {', '.join(counts)}"


def _api_shop(settings: Settings, shop_code: str) -> Shop:
    shop = load_shops(settings.shops_path).shop(shop_code)
    if shop.source == "file":
        raise NightError(
            f"shop {shop.shop} has no API",
            where="config/shops.yml",
            next_step=f"drop its files into data/inbox/{shop.shop}/<stream>/",
        )
    return shop


class _Backfill:
    def __init__(
        self,
        settings: Settings,
        credentials: CredentialsProvider,
        shop: Shop,
        state: StateStore,
        run_id: str,
        holder: str,
        vault: Vault,
    ) -> None:
        self._settings = settings
        self._shop = shop
        self._state = state
        self._run_id = run_id
        self._holder = holder
        self._vault = vault
        self._tokens = RenewedTokens(credentials, state, vault)

    def land(self, days: Days, *, again: bool) -> list[str]:
        """Land each stream, whatever became of the one before; how much of each."""
        shop = self._shop
        whole = Window(shop.day_start(days.first), shop.day_end(days.last))
        counts: list[str] = []
        failed = LandingResult()
        for stream in asked_streams(shop):
            spans = [whole] if again else landing_gaps(self._settings, shop, stream, whole)
            result = merge_results(map(partial(self._land, stream), spans))
            landed = f"{sum(batch.record_count for batch in result):,}"
            counts.append(f"{stream} {landed if spans else 'landed before'}")
            failed = merge_results([failed, result])
            errors = [failure.error for failure in result.failures]
            if any(isinstance(one, REFUSALS) for one in errors):
                break
        failed.raise_if_failed()
        return counts

    def _land(self, stream: str, span: Window) -> LandingResult:
        return land_stream(
            self._settings,
            self._shop,
            stream,
            self._tokens,
            clock_for(self._settings.clock_url),
            span,
            self._vault,
            self._run_id,
            self._progress,
            keep_tokens=self._tokens.keep,
        )

    def _progress(self, line: str) -> None:
        self._state.lease.heartbeat(self._run_id, self._holder)
        report(line)

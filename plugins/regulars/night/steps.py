"""The steps of a night, callable one by one and repeatable.

Order: open, extract (per shop), validate landing, load, build (per subject), validate marts,
propose, validate queues, commit, publish, export, complete, close. A step reads what the steps
before it left on disk or in recorded state, never a value handed over in memory, because under
the scheduler every step is a process of its own and any of them may be killed.

A night whose decisions were committed before is *repeated*: its frozen manifest is used as it
stands, nothing is extracted, nothing is decided, and its marts come out with the same digest.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from uuid import UUID

from regulars.clock import Clock, clock_for
from regulars.credentials import CredentialsProvider
from regulars.errors import GateFailed, LeaseHeld, NightError, RegularsError, SourceError
from regulars.landing import (
    LandingFailure,
    LandingResult,
    check_quarantine_share,
    land_stream,
    list_batches,
    merge_results,
    open_shop,
    span_text,
)
from regulars.landing.quarantine import refused_count
from regulars.loyalty import Loyalty, check_begun_rules, load_loyalty
from regulars.night import calendar
from regulars.night import manifest as manifests
from regulars.night.completeness import Plan, plan_windows
from regulars.night.inbox import files_refused_before, land_inbox
from regulars.night.journal import write_entry
from regulars.night.manifest import RunManifest, date_of, run_id_of
from regulars.night.persons import follow_erased
from regulars.night.tokens import RenewedTokens
from regulars.night.value_models import STREAMS_OF_VALUE, record_due_models, sentence
from regulars.progress import report
from regulars.quality.gate import Verdict, validate_landing, validate_tables, write_report
from regulars.queues import (
    Campaign,
    ExportRules,
    UnsubscribeLinks,
    commit_proposals,
    export_messages,
    load_campaigns,
    load_sending_hours,
    queue_models,
    read_caps,
    transport_for,
)
from regulars.receiving.config import load_receiving
from regulars.records import BatchManifest, Window
from regulars.segments import Segments, load_segments
from regulars.settings import Settings
from regulars.shops import Shop, ShopsFile, load_shops
from regulars.sources import ApiSource, asked_streams, depth_of
from regulars.state import (
    TOMBSTONES,
    ConsentRecord,
    ErasedDigest,
    ErasedKeys,
    StateStore,
    ThresholdVersion,
    TierGrant,
    Watermark,
)
from regulars.transform.runner import BuildReport, Transformer
from regulars.transform.thresholds import check_thresholds
from regulars.vault import Vault, keys_from_credentials, open_vault
from regulars.warehouse import control, publish
from regulars.warehouse.erase import altered_tables, content_of
from regulars.warehouse.load import applied_head, holds_erased, load_batches, reload_batches
from regulars.warehouse.lock import warehouse_lock
from regulars.warehouse.prune import pruned_batches
from regulars.warehouse.session import open_warehouse, remove_half_pair, remove_warehouse
from regulars.warehouse.tables import create_tables, reshaped_tables

SUBJECTS: dict[str, tuple[str, ...]] = {
    "core": ("tag:core",),
    "members": ("tag:members",),
    # The scores of value wait for the parameters, which are fitted on what members has built.
    "campaigns": ("tag:campaigns", "tag:value"),
}
"""dbt selection of each build step, in order."""

PROPOSALS = ("tag:activation",)
_TABLES_OF_CONFIG = {
    "config.shops": "ops.run_shops",
    "config.campaigns": "config.campaigns",
    "config.tier_levels": "config.tier_levels",
    "config.point_rules": "config.point_rules",
    "config.gifts": "config.gifts",
    "config.segments": "config.segments",
    "config.segment_clauses": "config.segment_clauses",
    "config.segment_conditions": "config.segment_conditions",
}
"""What of config/ is fingerprinted, and the source table that models read it from."""
THRESHOLD_CANDIDATES = "+int_rfm__threshold_candidates,tag:members"
"""The candidates and what they need of the members' subject; orders are built before."""


class Night:
    """One installation's nights.

    Args:
        settings: where things are.
        credentials: finds a connection by its id.
        holder: who runs the night; unique per attempt, so that two attempts tell apart.
        pid: process that lives as long as the night, when there is one.
        monotonic: seconds, for the journal only.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: CredentialsProvider,
        *,
        holder: str,
        pid: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._credentials = credentials
        self._holder = holder
        self._pid = pid
        self._monotonic = monotonic

    # -- what every step may need ---------------------------------------------------------

    @cached_property
    def shops(self) -> ShopsFile:
        """config/shops.yml."""
        return load_shops(self.settings.shops_path)

    @cached_property
    def state(self) -> StateStore:
        """Recorded state."""
        return StateStore(self.settings.resolved_state_url)

    @cached_property
    def transformer(self) -> Transformer:
        """The runner of dbt."""
        return Transformer(self.settings, self._monotonic)

    def _vault(self) -> Vault:
        credentials = self._credentials(self.settings.pii_connection)
        return open_vault(self.settings.vault_path, credentials)

    def _unsubscribe_links(self) -> UnsubscribeLinks | None:
        """What e-mails are unsubscribed by; None where nothing receives it."""
        receiving = load_receiving(self.settings.config_dir, self.shops)
        if not receiving.public_url:
            return None
        credentials = self._credentials(self.settings.pii_connection)
        return UnsubscribeLinks(receiving.public_url, keys_from_credentials(credentials))

    def _campaigns(self) -> tuple[Campaign, ...]:
        brands = [brand.brand for brand in self.shops.brands]
        models = queue_models(self.settings.dbt_project_dir)
        return load_campaigns(self.settings.config_dir, brands, models)

    def _loyalty(self) -> Loyalty:
        return load_loyalty(self.settings.config_dir, self.shops)

    def _segments(self) -> Segments:
        seeds_dir = self.settings.dbt_project_dir / "seeds"
        return load_segments(self.settings.config_dir, seeds_dir, self.shops)

    def _locked(self, what: str) -> AbstractContextManager[None]:
        settings = self.settings
        return warehouse_lock(
            settings.warehouse_path,
            holder=f"{self._holder} {what}",
            wait_seconds=settings.warehouse_lock_seconds,
        )

    def _hold_lease(self, run_id: str) -> None:
        """Heartbeat; a task that was cleared after its night had ended takes the lease anew."""
        try:
            self.state.lease.heartbeat(run_id, self._holder)
        except LeaseHeld:
            if self.state.lease.current() is not None:
                raise
            seconds = self.settings.lease_seconds
            self.state.lease.acquire(run_id, self._holder, seconds, pid=self._pid)

    @contextmanager
    def _step(self, run_id: str, name: str, **labels: str) -> Iterator[dict[str, Any]]:
        """Heartbeats, seconds and journal of one step.

        Raises:
            NightError: a later night was completed; the run can only be looked at.
            LeaseHeld: another night runs.
        """
        title = " ".join([name, *labels.values()])
        try:
            self._require_newest(run_id)
            self._hold_lease(run_id)
            self._require_still_newest(run_id)
        except NightError as error:
            report(f"✗ {title}: {error}")
            raise
        started = self._monotonic()
        entry: dict[str, Any] = {"step": name, **labels}
        try:
            with self.state.lease.beating(run_id, self._holder, self.settings.lease_seconds):
                yield entry
        except Exception as error:
            entry.update(status="failed", error=str(error)[:2000])
            report(f"✗ {title}: {error}")
            raise
        else:
            entry["status"] = "done"
            report(f"✓ {title} ({self._monotonic() - started:.1f} s) {entry.get('note', '')}")
        finally:
            entry["seconds"] = round(self._monotonic() - started, 3)
            write_entry(self.settings, run_id, entry)

    def _require_newest(self, run_id: str) -> None:
        """Refuse a night that lies before the last completed one.

        Its decisions would come too late, and its marts would take the place of later ones.
        """
        last = self.state.nights.last_completed_date()
        day = date_of(run_id)
        if last is not None and day < last:
            raise self._too_late(day, last)

    def _require_still_newest(self, run_id: str) -> None:
        """The same with the lease held, so that it stays true; it is given back otherwise."""
        try:
            self._require_newest(run_id)
        except NightError:
            self.state.lease.release(run_id, self._holder)
            raise

    def _too_late(self, day: date, last: date) -> NightError:
        night = self.state.nights.get(day)
        way_out = (
            f"leave it as it is; `regulars replay {day}` builds it again beside the warehouse, "
            f"`regulars replay {day} --restate` with all that has landed since"
            if night is not None and night.is_completed
            else f"leave it out, for the night of {last} has taken in what it would have; "
            f"`regulars replay {day} --restate` shows the marts as of {day}"
        )
        return NightError(
            f"{day} lies before the last completed night {last}",
            where=run_id_of(day),
            next_step=f"{way_out}; a past date never sends",
        )

    def _manifest(self, run_id: str) -> RunManifest:
        night = self.state.nights.get(date_of(run_id))
        if night is not None and self._is_frozen(run_id):
            return manifests.require_manifest(self.settings, run_id, night.manifest_sha256)
        manifest = manifests.read_manifest(self.settings, run_id)
        if manifest is None:
            raise NightError(
                "the run has no manifest yet",
                where=run_id,
                next_step="run its extract steps first",
            )
        return manifest

    def _is_frozen(self, run_id: str) -> bool:
        """True when the night has decided: its manifest may not change any more."""
        night = self.state.nights.get(date_of(run_id))
        if night is None:
            return False
        return night.is_completed or bool(self.state.ledger.campaigns_of(run_id))

    # -- the steps --------------------------------------------------------------------------

    def open_night(self, day: date | None = None, *, scheduled: date | None = None) -> str:
        """Decide the business date, take the lease and open the night; its run id.

        Args:
            day: the date somebody asked for; None for the next one.
            scheduled: the date that the schedule stands for, used when nobody asked and the
                shops live by the machine's clock.

        Raises:
            NightError: the date cannot run: too early, older than the last completed night, or it
                has decided and its manifest is lost.
            LeaseHeld: another night runs.
            ConfigError: tiers, points or segments are set wrongly; names file and line.
        """
        self._loyalty()
        self._segments()
        clock = clock_for(self.settings.clock_url)
        simulated = bool(self.settings.clock_url)
        last = self.state.nights.last_completed_date()
        if day is None and scheduled is not None and not simulated:
            day = scheduled
        if day is None:
            day = calendar.next_business_date(
                self.shops, last, now=clock.now(), simulated=simulated
            )
        elif not simulated:
            calendar.require_open(self.shops, day, clock.now())
        run_id = run_id_of(day)
        self._require_newest(run_id)
        if self._is_frozen(run_id):
            self._manifest(run_id)
        lease = self.state.lease.acquire(
            run_id, self._holder, self.settings.lease_seconds, pid=self._pid
        )
        try:
            night = self.state.nights.open(day)
            clock.advance_to(self.shops.night_opens_at(day))
        except RegularsError:
            self.state.lease.release(run_id, self._holder)
            raise
        kind = "repeated" if self._is_frozen(run_id) else "new"
        write_entry(
            self.settings,
            run_id,
            {"step": "open_night", "status": "done", "kind": kind, "as_of_date": day, "seconds": 0},
        )
        for erasure in self.state.erasures.unfinished():
            report(f"{erasure.erasure_id} is unfinished: run `regulars erase --resume`")
        if lease.taken_over_from:
            report(f"took over the lease of {lease.taken_over_from}, which is dead")
        state = "completed before, repeating it" if night.is_completed else kind
        report(f"night of {day} ({state})")
        return run_id

    def list_shops(self, run_id: str) -> list[str]:
        """Codes of the shops to extract: none when the night is repeated."""
        return [] if self._is_frozen(run_id) else [shop.shop for shop in self.shops.shops]

    def extract_shop(self, run_id: str, shop: str) -> None:
        """Extract and land one shop: its file drops and its API windows.

        Raises:
            RegularsError: a stream or file failed; the others have landed.
        """
        found = self.shops.shop(shop)
        with self._step(run_id, "extract_shop", shop=shop) as entry, self._vault() as vault:
            day = date_of(run_id)
            before = set(files_refused_before(self.settings, found, run_id, day))
            result = self._land_files(run_id, found, vault)
            # Delivered again, it may have landed by now.
            missing = files_refused_before(self.settings, found, run_id, day) if before else []
            entry["findings"] = [line for line in missing if line in before]
            for line in entry["findings"]:
                report(f"  {line}")
            try:
                if found.source != "file":
                    result = self._land_streams(run_id, found, vault, result)
            finally:
                fresh = [batch for batch in result if batch.batch_id not in result.known_ids]
                entry.update(_landed_summary(fresh))
                entry["failures"] = [str(failure) for failure in result.failures]
                for failure in entry["failures"]:
                    report(f"  did not land: {failure}")
            result.raise_if_failed()

    def _land_files(self, run_id: str, shop: Shop, vault: Vault) -> LandingResult:
        clock = clock_for(self.settings.clock_url)
        day = date_of(run_id)
        progress = partial(self._progress, run_id)
        return land_inbox(self.settings, shop, vault, run_id, day, progress, clock=clock)

    def _land_streams(
        self, run_id: str, shop: Shop, vault: Vault, files: LandingResult
    ) -> LandingResult:
        """Land the streams of a shop's API; what its files gave comes first in the result.

        A platform that refuses every further call is left alone: its other streams are not asked.
        """
        clock = clock_for(self.settings.clock_url)
        tokens = RenewedTokens(self._credentials, self.state, vault)
        streams = asked_streams(shop)
        results = [files]
        with closing(open_shop(shop, tokens, clock, tokens.keep)) as source:
            for number, stream in enumerate(streams, start=1):
                results.append(self._land_api(run_id, shop, stream, vault, source, clock))
                if results[-1].is_refused:
                    left = ", ".join(streams[number:])
                    if left:
                        self._progress(run_id, f"{shop.shop}: refused, so not asked for {left}")
                    break
        return merge_results(results)

    def _land_api(
        self,
        run_id: str,
        shop: Shop,
        stream: str,
        vault: Vault,
        source: ApiSource,
        clock: Clock,
    ) -> LandingResult:
        now = clock.now()
        mark = self.state.watermarks.get(shop.platform, shop.shop, stream)
        end = min(self.shops.night_opens_at(date_of(run_id)), now)
        try:
            depth = depth_of(source)
        except SourceError as error:
            return LandingResult(failures=(LandingFailure(shop.shop, stream, "its depth", error),))
        plan = plan_windows(
            self.settings,
            shop,
            stream,
            mark=mark,
            end=end,
            day=date_of(run_id),
            now=now,
            depth=depth,
        )
        self._tell_of_gaps(run_id, shop, stream, plan)
        results: list[LandingResult] = []
        for window in plan.windows:
            results.append(
                land_stream(
                    self.settings,
                    shop,
                    stream,
                    self._credentials,
                    clock,
                    window,
                    vault,
                    run_id,
                    partial(self._progress, run_id),
                    source=source,
                )
            )
            if results[-1].is_refused:
                break
        whole = merge_results(results)
        start = mark or shop.day_start(shop.api_from or shop.first_date)
        reached = _reached(start, whole.completed)
        if reached > start:
            moved = Watermark(shop.platform, shop.shop, stream, reached)
            self.state.watermarks.advance(run_id, moved)
        return whole

    def _tell_of_gaps(self, run_id: str, shop: Shop, stream: str, plan: Plan) -> None:
        where = f"{shop.shop}/{stream}"
        for gap in plan.refilled:
            self._progress(run_id, f"{where} {span_text(shop, gap)} never landed: asking again")
        for gap in plan.lost:
            self._progress(
                run_id,
                f"{where} {span_text(shop, gap)} never landed and is older than the platform "
                "gives: drop it as a file",
            )
        if plan.swept_from is not None:
            since = plan.swept_from.astimezone(shop.tzinfo).date()
            self._progress(run_id, f"{where}: resweep of everything modified since {since}")

    def _progress(self, run_id: str, line: str) -> None:
        self.state.lease.heartbeat(run_id, self._holder)
        report(f"  {line}")

    def validate_landing(self, run_id: str) -> None:
        """Gate 1, then freeze the manifest.

        Raises:
            QuarantineExceeded: too large a share of a stream's records was refused.
            GateFailed: a critical expectation failed.
        """
        with self._step(run_id, "validate_landing") as entry:
            if self._is_frozen(run_id):
                entry["note"] = "manifest is frozen"
                return
            batches = manifests.ordered(list_batches(self.settings))
            known = self._known_batches()
            fresh = [batch for batch in batches if batch.batch_id not in known]
            refused = [
                batch.model_copy(update={"quarantined_count": refused_count(self.settings, batch)})
                for batch in fresh
            ]
            for whole in _per_stream(refused):
                check_quarantine_share(self.shops.shop(whole.shop), whole)
            files: dict[str, dict[Path, None]] = {}
            for batch in fresh:
                if batch.record_count:
                    path = self.settings.landing_dir / batch.data_path
                    files.setdefault(f"{batch.source}__{batch.stream}", {})[path] = None
            verdict = validate_landing(
                self.settings, {table: list(paths) for table, paths in files.items()}
            )
            self._conclude(run_id, verdict, entry)
            with self._vault() as vault:
                # Before the manifest is frozen: it says which tombstones its night knew.
                entry["tombstones"] = follow_erased(self.settings, self.state, vault, fresh)
            manifest = manifests.freeze(
                self.settings,
                as_of_date=date_of(run_id),
                shops=self.shops.shops,
                batches=batches,
                state_heads=self.state.stream_heads(),
                key_id=self._key_id(),
            )
            manifests.freeze_manifest(self.settings, manifest, self.state.nights)
            entry.update(batches=len(batches), fresh=len(fresh))
            entry["note"] = f"{len(fresh)} fresh batches, {verdict.checked} expectations"

    def _key_id(self) -> str:
        with self._vault() as vault:
            return vault.key_id

    def _known_batches(self) -> set[str]:
        """Batches of the last completed night's manifest: they passed gate 1 before."""
        last = self.state.nights.last_completed_date()
        manifest = manifests.read_manifest(self.settings, run_id_of(last)) if last else None
        return manifests.batch_ids(self.settings, manifest) if manifest else set()

    def load_raw(self, run_id: str) -> None:
        """Load the manifest's batches into raw and tell the models what night it is."""
        with self._step(run_id, "load_raw") as entry:
            manifest = self._manifest(run_id)
            batches = manifests.resolve(self.settings, manifest)
            erased = self.state.erasures.keys()
            self._make_fit(manifest, batches, erased)
            # dbt parses while the engine loads: neither needs the other, and both take seconds.
            with ThreadPoolExecutor(1) as beside:
                parsed = beside.submit(self.transformer.prepare)
                with open_warehouse(self.settings, holder=f"{self._holder} load_raw") as connection:
                    create_tables(connection)
                    check_begun_rules(
                        self.settings.config_dir,
                        self._loyalty().rules,
                        control.read_point_rules(connection),
                        self.state.nights.last_completed_date(),
                    )
                    rows = load_batches(
                        connection, self.settings.landing_dir, batches, erased=erased
                    )
                    pending = control.begin_run(
                        connection,
                        run_id=run_id,
                        as_of_date=manifest.as_of_date,
                        shops=manifest.shops,
                        batches=batches,
                    )
                    control.sync_state(connection, self.state, manifest.state_heads)
                    control.write_campaigns(
                        connection, [campaign.warehouse_row() for campaign in self._campaigns()]
                    )
                    hours = load_sending_hours(self.settings.config_dir)
                    control.write_sending_hours(connection, hours.warehouse_row())
                    control.write_loyalty(connection, self._loyalty().warehouse_tables())
                    control.write_segments(connection, self._segments().warehouse_tables())
                    good = control.read_fingerprints(connection)
                    pruned = pruned_batches(connection)
                parsed.result()
            if pruned:
                self._refill_raw(manifest, good, batches, erased, entry)
            self._load_seeds(good, entry)
            entry.update(rows=rows, pending_batches=pending)
            entry["note"] = f"{sum(rows.values()):,} rows, {pending} pending batches"

    def _refill_raw(
        self,
        manifest: RunManifest,
        good: dict[str, str],
        batches: list[BatchManifest],
        erased: ErasedKeys,
        entry: dict[str, Any],
    ) -> None:
        """Load pruned versions again that a model is about to read: one built from scratch."""
        tables = self.transformer.raw_tables_of(self._stale(good, manifest))
        with open_warehouse(self.settings, holder=f"{self._holder} load_raw") as connection:
            gone = pruned_batches(connection, tables)
            wanted = [batch for batch in batches if batch.batch_id in gone]
            if wanted:
                report(f"models are rebuilt: loading {len(wanted)} pruned batches again")
                entry["reloaded"] = reload_batches(
                    connection, self.settings.landing_dir, wanted, erased=erased
                )

    def _make_fit(
        self, manifest: RunManifest, batches: list[BatchManifest], erased: ErasedKeys
    ) -> None:
        """Start the warehouse over when what stands in it is not what this run would load.

        It is half gone or ahead of the run, holds who was erased, or was loaded into tables of
        another shape: a column that is added later stays empty for what was loaded before.
        """
        if remove_half_pair(self.settings):
            report("one of the warehouse's two files was missing: rebuilding both")
        with open_warehouse(self.settings, holder=f"{self._holder} load_raw") as connection:
            why = self._misfit(connection, manifest, batches, erased)
        if why:
            report(why)
            remove_warehouse(self.settings)

    def _misfit(
        self,
        connection: Any,
        manifest: RunManifest,
        batches: list[BatchManifest],
        erased: ErasedKeys,
    ) -> str:
        """Why the warehouse has to start over; empty when it need not."""
        if reshaped := reshaped_tables(connection):
            return f"what is read has another shape now ({reshaped[0]}): rebuilding the warehouse"
        create_tables(connection)
        if holds_erased(connection, erased):
            return "somebody was erased who stands in the warehouse: rebuilding it without them"
        if control.is_ahead_of(connection, manifest.as_of_date, batches):
            return "a later night has been at the warehouse: rebuilding it as of this one"
        return ""

    def _require_loaded(self, run_id: str, connection: Any) -> None:
        """Refuse a warehouse loaded for another run, by other code, or before an erasure."""
        is_of_this_code = not reshaped_tables(connection)
        create_tables(connection)
        found = connection.execute("select run_id from warehouse.ops.run").fetchone()
        is_of_this_run = (found and found[0]) == run_id
        if (
            is_of_this_code
            and is_of_this_run
            and applied_head(connection) == self.state.erasures.head()
        ):
            return
        raise NightError(
            "the warehouse is not loaded for this run, or somebody was erased or a payload model "
            "changed since it was",
            where=run_id,
            next_step="run the night again, or clear it from load_raw on",
        )

    def _load_seeds(self, good: dict[str, str], entry: dict[str, Any]) -> None:
        changed = self.transformer.changed_with_descendants(good)
        if good and not self.transformer.seeds_of(changed):
            return
        check_thresholds(self.settings.dbt_project_dir / "seeds")
        if good:
            # Before the first of them is replaced: should one fail, the others hold what was
            # edited, and taking the edit back must load them again.
            with open_warehouse(self.settings, holder=f"{self._holder} seeds") as connection:
                control.distrust(connection, changed)
        entry["seeds"] = _build_summary(self.transformer.seed())

    def build(self, run_id: str, subject: str) -> None:
        """Build one subject's models.

        Raises:
            TransformFailed: names the failed model or test.
        """
        with self._step(run_id, f"build_{subject}") as entry:
            with open_warehouse(self.settings, holder=f"{self._holder} build") as connection:
                self._require_loaded(run_id, connection)
                good = control.read_fingerprints(connection)
                pending = control.pending_tables(connection)
                stale = self._stale(good, self._manifest(run_id))
                is_first = control.last_consumed_night(connection) is None
                # Until gate 2 has passed, nobody may take what is built now for good: should this
                # night fail and its code be taken back, they are rebuilt all the same.
                control.distrust(connection, stale if good else {*self.transformer.fingerprints()})
                if subject == "campaigns":
                    self._record_value_models(run_id, connection, entry)
            if subject == "members":
                self._record_thresholds(run_id, stale)
            unfed = self.transformer.unfed_staging(pending, good)
            built = self.transformer.build(subject, SUBJECTS[subject], stale, skip=unfed)
            if is_first:
                built.rebuilt.clear()
            entry.update(_build_summary(built))
            entry["note"] = _build_note(built)

    def _config_prints(self, manifest: RunManifest) -> dict[str, str]:
        """Fingerprints of the configuration that models read as tables, as far as they read it.

        The shops are those of the manifest: a night that is repeated is not built from today's.
        """
        shops = [control.shop_row(shop) for shop in manifest.shops]
        campaigns = [campaign.warehouse_row() for campaign in self._campaigns()]
        tables = {
            "shops": shops,
            "campaigns": campaigns,
            **self._loyalty().warehouse_tables(),
            **self._segments().warehouse_tables(),
        }
        return {
            f"config.{name}": hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()
            for name, rows in tables.items()
        }

    def _stale(self, good: dict[str, str], manifest: RunManifest) -> set[str]:
        """Models to rebuild: changed ones, readers of changed configuration, and descendants."""
        stale = self.transformer.changed_with_descendants(good)
        found = self._config_prints(manifest)
        edited = [name for name in found if good and good.get(name, found[name]) != found[name]]
        if edited:
            report(f"{' and '.join(edited)} changed: rebuilding what reads it")
            stale |= self.transformer.readers_of(_TABLES_OF_CONFIG[name] for name in edited)
        return stale

    def build_core(self, run_id: str) -> None:
        """Orders, lines, refunds, customers, products."""
        self.build(run_id, "core")

    def build_members(self, run_id: str) -> None:
        """Members, lifecycle, RFM, the shop's day."""
        self.build(run_id, "members")

    def build_campaigns(self, run_id: str) -> None:
        """Sends and attribution; what members are worth, by the parameters in force."""
        self.build(run_id, "campaigns")

    def _record_thresholds(self, run_id: str, stale: set[str]) -> None:
        """Record quintile cut points where a brand has none or they are due (quarterly).

        The new version enters the manifest's state heads: it is an input of this night's scores.
        """
        manifest = self._manifest(run_id)
        due = [
            brand.brand
            for brand in self.shops.brands
            if self._threshold_is_due(brand.brand, manifest.as_of_date)
        ]
        if not due or self._is_frozen(run_id):
            return
        self.transformer.run("thresholds", [THRESHOLD_CANDIDATES], stale)
        with open_warehouse(self.settings, holder=f"{self._holder} thresholds") as connection:
            rows = control.iter_rows(
                connection,
                "select brand, dimension, q20, q40, q60, q80, customer_count "
                "from warehouse.intermediate.int_rfm__threshold_candidates "
                "where q20 is not null order by brand, dimension",
            )
            candidates: dict[str, list[dict[str, Any]]] = {brand: [] for brand in due}
            for row in rows:
                candidates.get(row["brand"], []).append(row)
            versions = [
                version
                for brand, cuts in candidates.items()
                for version in self._next_thresholds(brand, cuts, manifest.as_of_date)
            ]
            self.state.thresholds.record(versions)
            stream = "state__threshold_versions"
            heads = {**manifest.state_heads, stream: self.state.stream_heads()[stream]}
            manifest = manifest.model_copy(update={"state_heads": heads})
            manifests.freeze_manifest(self.settings, manifest, self.state.nights)
            control.sync_state(connection, self.state, heads)
        if versions:
            report(f"recorded {len(versions)} RFM threshold versions")

    def _record_value_models(self, run_id: str, connection: Any, entry: dict[str, Any]) -> None:
        """Fit and record the value models that are due.

        New versions enter the manifest's state heads: they are inputs of this night's scores.
        """
        if self._is_frozen(run_id):
            return
        manifest = self._manifest(run_id)
        last = self.state.nights.last_completed_date()
        versions = record_due_models(
            connection, self.state, manifest.as_of_date, last, lambda line: report(f"  {line}")
        )
        if not versions:
            return
        entry["value_models"] = [sentence(version) for version in versions]
        found = self.state.stream_heads()
        heads = {**manifest.state_heads, **{name: found[name] for name in STREAMS_OF_VALUE}}
        manifest = manifest.model_copy(update={"state_heads": heads})
        manifests.freeze_manifest(self.settings, manifest, self.state.nights)
        control.sync_state(connection, self.state, heads)

    def _next_thresholds(
        self, brand: str, cuts: list[dict[str, Any]], as_of_date: date
    ) -> list[ThresholdVersion]:
        """The brand's next version, one number for all its dimensions; none if it would repeat."""
        newest = self.state.thresholds.newest(brand)
        number = max((version.version for version in newest.values()), default=0)
        fresh = [ThresholdVersion(**row, version=number + 1, valid_from=as_of_date) for row in cuts]
        known = {
            replace(version, version=number + 1)
            for version in newest.values()
            if version.valid_from == as_of_date
        }
        return [] if known == set(fresh) else fresh

    def _threshold_is_due(self, brand: str, as_of_date: date) -> bool:
        newest = self.state.thresholds.newest(brand)
        if not newest:
            return True
        recorded_on = max(version.valid_from for version in newest.values())
        # Recorded by a night that failed afterwards: what it saw may have been wrong.
        last = self.state.nights.last_completed_date()
        if last is None or recorded_on > last:
            return True
        return as_of_date - recorded_on >= timedelta(days=self.shops.rfm_recalibrate_days)

    def validate_marts(self, run_id: str) -> None:
        """Gate 2; only behind it are the run's batches and touched keys consumed.

        Raises:
            GateFailed: a critical expectation failed; everything stays pending.
        """
        with self._step(run_id, "validate_marts") as entry:
            with open_warehouse(self.settings, holder=f"{self._holder} gate 2") as connection:
                self._require_loaded(run_id, connection)
                tables = {
                    name: f"{schema}.{name}"
                    for schema, name in connection.execute(
                        "select table_schema, table_name from information_schema.tables "
                        "where table_catalog = 'marts' order by table_name"
                    ).fetchall()
                }
            with self._locked("gate 2"):
                verdict = validate_tables(
                    self.settings, gate="marts", database=self.settings.marts_path, tables=tables
                )
            self._conclude(run_id, verdict, entry)
            manifest = self._manifest(run_id)
            with open_warehouse(self.settings, holder=f"{self._holder} consume") as connection:
                control.consume(
                    connection,
                    run_id=run_id,
                    as_of_date=manifest.as_of_date,
                    fingerprints={
                        **self.transformer.fingerprints(),
                        **self._config_prints(manifest),
                    },
                )
            entry["note"] = f"{verdict.checked} expectations"

    def propose(self, run_id: str) -> None:
        """Let the activation models propose who gets what, and who not and why.

        Raises:
            TransformFailed: names the failed model or test.
        """
        with self._step(run_id, "propose") as entry:
            built = self.transformer.build("activation", PROPOSALS, set())
            entry.update(_build_summary(built))
            entry["note"] = _build_note(built)

    def validate_queues(self, run_id: str) -> None:
        """Gate 3.

        Raises:
            GateFailed: a critical expectation failed; the queue is held.
        """
        with self._step(run_id, "validate_queues") as entry:
            with open_warehouse(self.settings, holder=f"{self._holder} gate 3") as connection:
                tables = {name: f"activation.{name}" for name in _queue_models(connection)}
            with self._locked("gate 3"):
                verdict = validate_tables(
                    self.settings,
                    gate="queues",
                    database=self.settings.warehouse_path,
                    tables=tables,
                )
            self._conclude(run_id, verdict, entry)
            entry["note"] = f"{verdict.checked} expectations"

    def commit(self, run_id: str) -> None:
        """Record the night's decisions, once per campaign.

        Raises:
            QueueError: a proposal contradicts itself; nothing of its campaign is recorded.
        """
        with self._step(run_id, "commit") as entry:
            proposals: list[dict[str, Any]] = []
            with open_warehouse(self.settings, holder=f"{self._holder} commit") as connection:
                self._require_loaded(run_id, connection)
                for model in _queue_models(connection):
                    proposals += control.iter_rows(
                        connection,
                        f"select * from warehouse.activation.{model} order by message_id",
                    )
            results = commit_proposals(
                self.state,
                as_of_date=date_of(run_id),
                campaigns=self._campaigns(),
                proposals=proposals,
                now=clock_for(self.settings.clock_url).now(),
            )
            entry["campaigns"] = [
                {
                    "campaign": result.campaign,
                    "considered": result.considered,
                    "sent": result.sent,
                    "holdout": result.holdout,
                    "suppressed": result.suppressed,
                    "reasons": dict(result.reasons),
                    "already_decided": result.already_decided,
                    "is_reread": result.is_reread,
                }
                for result in results
            ]
            if results and all(result.is_reread for result in results):
                entry["note"] = "decided before; nothing is decided again"

    def _record_grants(self, run_id: str) -> int:
        """Record the tiers that the marts of this night give; how many were new.

        The marts show them already, out of what was recorded before, so the same night read again
        shows the same, and what is recorded enters the next one. A member who was given a tier by
        an attempt of the same night before keeps that one.
        """
        with open_warehouse(self.settings, holder=f"{self._holder} grants") as connection:
            self._require_loaded(run_id, connection)
            rows = control.iter_rows(
                connection,
                "select grant_id, brand, member_key, customer_key, program, tier, "
                "tier_level as level, previous_level, grant_reason as reason, "
                "granted_date as decided_on, valid_until_date as valid_until "
                "from marts.main.mart_member_tiers where is_granted_tonight order by grant_id",
            )
            evidence = f"mart_member_tiers of {run_id}"
            grants = [TierGrant(**row, run_id=run_id, evidence=evidence) for row in rows]
        return self.state.grants.record(grants)

    def publish_marts(self, run_id: str) -> None:
        """Record the tiers that the marts give, then publish: a versioned copy, then the pointer.

        What readers see was promised to members, whatever becomes of the night's messages. A night
        that was completed before has given its tiers.
        """
        with self._step(run_id, "publish_marts") as entry:
            manifest = self._manifest(run_id)
            night = self.state.nights.get(manifest.as_of_date)
            expected = night.digest if night and night.is_completed else None
            if night is not None and not night.is_completed:
                entry["tier_grants"] = self._record_grants(run_id)
            with open_warehouse(self.settings, holder=f"{self._holder} publish") as connection:
                self._require_loaded(run_id, connection)
                if expected is not None:
                    expected = self._expected_digest(manifest, connection, expected)
            publication = publish.publish_marts(
                self.settings,
                run_id=run_id,
                as_of_date=manifest.as_of_date,
                holder=f"{self._holder} publish",
                expected_digest=expected,
            )
            entry.update(publication.model_dump(mode="json"))
            entry["note"] = f"{publication.file} digest {publication.digest[:12]}"

    def _expected_digest(self, manifest: RunManifest, connection: Any, completed: str) -> str:
        """The digest that a completed night must come out with, today.

        That of its first publication; or, where somebody was erased since, that of the same
        without them: every row of everybody else is what it was.
        """
        head = self.state.erasures.head()
        content = content_of(connection, "marts", self.state.erasures.reach())
        if content.digest == completed or head == manifest.state_heads.get(TOMBSTONES, 0):
            return completed
        known = self.state.erasures.digests_of(manifest.run_id)
        if not known or altered_tables(known[0].tables, content.tables) & content.persons:
            return completed
        found = ErasedDigest(manifest.run_id, head, "rebuilt", content.digest, content.tables)
        self.state.erasures.record_digest(found)
        return content.digest

    def export(self, run_id: str) -> None:
        """Hand committed messages to the queue, through the exit check.

        Raises:
            QueueError: the transport refused; what left is recorded, the rest goes next time.
        """
        with self._step(run_id, "export") as entry:
            rules = ExportRules(
                campaigns=self._campaigns(),
                zones={shop.shop: shop.tzinfo for shop in self.shops.shops},
                hours=load_sending_hours(self.settings.config_dir),
                caps=read_caps(self.settings.dbt_project_dir / "seeds" / "message_caps.csv"),
                identity=self._record_words(run_id),
                unsubscribe=self._unsubscribe_links(),
            )
            batches = export_messages(
                self.state,
                transport_for(self.settings.resolved_queue_url),
                run_id=run_id,
                now=clock_for(self.settings.clock_url).now(),
                rules=rules,
                still_holding=lambda: self.state.lease.heartbeat(run_id, self._holder),
            )
            reasons: dict[str, int] = {}
            for batch in batches:
                for reason, count in batch.suppressed.items():
                    reasons[reason] = reasons.get(reason, 0) + count
            exported = sum(batch.exported for batch in batches)
            entry.update(
                exported=exported,
                recovered=sum(batch.recovered for batch in batches),
                suppressed=reasons,
                places=sorted({batch.place for batch in batches if batch.place}),
            )
            entry["note"] = f"{exported:,} messages"
            if not batches:
                entry["note"] = "0 messages: everything committed has left before"

    def _record_words(self, run_id: str) -> dict[UUID, UUID]:
        """Record what members whose messages still wait have said since they were decided.

        Refusals, and of the consents those that take a recorded refusal back: the newest word
        counts, and the exit looks at recorded words only. Each is recorded under the key that the
        customer who said it founds, with the contact that customer has,
        and names nobody else, who may be another person once the two are parted.

        Returns:
            Recorded member key -> today's, for those that differ, of everybody whom the batches
            that are not settled concern; empty when nothing waits.
        """
        batches = self.state.ledger.unsettled_batches()
        waiting = {
            decision.member_key
            for batch in batches
            for decision in self.state.ledger.unsettled(*batch)
        }
        if not waiting:
            return {}
        concerned = {pair for batch in batches for pair in self.state.ledger.concerned(*batch)}
        opened_at = clock_for(self.settings.clock_url).now()
        with open_warehouse(self.settings, holder=f"{self._holder} consents") as connection:
            self._require_loaded(run_id, connection)
            identity = control.identity_map(connection, concerned)
            people = {identity.get(key, key) for key in waiting}
            words = control.read_words(connection, "sms", people)
        evidence = f"int_members__consents of {run_id}"
        refusals: list[ConsentRecord] = []
        grants: list[ConsentRecord] = []
        for word in words:
            # As the proposals do: whoever refused after the business date's end counts as well.
            at = word.said_at if word.is_visible and word.said_at else None
            record = ConsentRecord(
                brand=word.brand,
                contact_hash=word.contact_hash,
                member_key=word.founded_member_key,
                channel="sms",
                kind="refusal" if word.is_refusal else "consent",
                occurred_at=at or opened_at,
                evidence=evidence,
                customer_key=word.customer_key,
            )
            if word.is_refusal:
                refusals.append(record)
            elif at is not None:
                grants.append(record)
        taken_back = self.state.consent.taken_back(grants, identity)
        self.state.consent.record([*refusals, *taken_back])
        return identity

    def complete_night(self, run_id: str) -> None:
        """Record that the night is done: digest in the manifest and in recorded state."""
        with self._step(run_id, "complete_night"):
            publication = publish.read_publication(self.settings)
            if publication is None or publication.run_id != run_id:
                raise NightError(
                    "the marts of this run are not the published ones",
                    where=run_id,
                    next_step="run publish_marts again",
                )
            manifest = self._manifest(run_id)
            night = self.state.nights.get(manifest.as_of_date)
            if night and night.is_completed and publication.digest != night.digest:
                known = {one.digest for one in self.state.erasures.digests_of(run_id)}
                if publication.digest in known:
                    # The record of a completed night stays: an erasure has a record of its own.
                    return
            # The manifest first: a night that is complete has one with its digest.
            if manifest.digest != publication.digest:
                manifests.note_publication(
                    self.settings, run_id, digest=publication.digest, file=publication.file
                )
            self.state.nights.complete(
                run_id, digest=publication.digest, published_file=publication.file
            )

    def close_night(self, run_id: str) -> None:
        """Give the lease back, whatever happened before."""
        self.state.lease.release(run_id, self._holder)

    def _conclude(self, run_id: str, verdict: Verdict, entry: dict[str, Any]) -> None:
        path = write_report(self.settings, run_id, verdict)
        entry["findings"] = [
            f"{finding.severity}: {finding.table} {finding.expectation} {finding.observed}"
            for finding in verdict.findings
        ]
        for finding in verdict.findings:
            if finding.severity == "warning":
                report(f"  warning: {finding.table} {finding.expectation} {finding.observed}")
        try:
            verdict.require()
        except GateFailed:
            report(f"  report: {path}")
            raise


def _queue_models(connection: Any) -> list[str]:
    rows = connection.execute(
        "select table_name from information_schema.tables "
        "where table_catalog = 'warehouse' and table_schema = 'activation' "
        "and table_name like 'queue#_%' escape '#' order by table_name"
    ).fetchall()
    return [row[0] for row in rows]


def _reached(start: datetime, windows: Iterable[Window]) -> datetime:
    """How far a stream has been read without a gap, from ``start`` on."""
    reached = start
    for window in sorted(windows, key=lambda one: one.start):
        if window.start > reached:
            break
        reached = max(reached, window.end)
    return reached


def _per_stream(batches: Iterable[BatchManifest]) -> Iterator[BatchManifest]:
    """One manifest per shop and stream that adds up the counts of its batches."""
    whole: dict[tuple[str, str], BatchManifest] = {}
    for batch in batches:
        key = (batch.shop, batch.stream)
        sum_of = whole.get(key)
        if sum_of is None:
            whole[key] = batch
            continue
        reasons = Counter(sum_of.quarantine_reasons) + Counter(batch.quarantine_reasons)
        worst = max((sum_of, batch), key=lambda one: one.quarantined_count)
        whole[key] = worst.model_copy(
            update={
                "record_count": sum_of.record_count + batch.record_count,
                "quarantined_count": sum_of.quarantined_count + batch.quarantined_count,
                "quarantine_reasons": dict(reasons),
            }
        )
    yield from whole.values()


def _landed_summary(batches: list[BatchManifest]) -> dict[str, Any]:
    streams: dict[str, int] = {}
    quarantined: dict[str, int] = {}
    for batch in batches:
        streams[batch.stream] = streams.get(batch.stream, 0) + batch.record_count
        if batch.quarantined_count:
            quarantined[batch.stream] = quarantined.get(batch.stream, 0) + batch.quarantined_count
    note = ", ".join(f"{stream} {count:,}" for stream, count in sorted(streams.items()) if count)
    if quarantined:
        note += f"; quarantined {sum(quarantined.values()):,}"
    return {"landed": streams, "quarantined": quarantined, "note": note or "nothing new"}


def _build_summary(built: BuildReport) -> dict[str, Any]:
    return {
        "models": [
            {"name": node.name, "kind": node.kind, "seconds": round(node.seconds, 3)}
            for node in built.nodes
        ],
        "model_seconds": round(built.model_seconds, 3),
        "dbt_seconds": round(built.seconds, 3),
        "rebuilt": built.rebuilt,
    }


def _build_note(built: BuildReport) -> str:
    note = f"{len(built.nodes)} nodes, {built.model_seconds:.1f} s in models"
    if built.rebuilt:
        note += (
            "; rebuilt from scratch, because code, seeds or config changed or an earlier attempt "
            f"failed: {', '.join(built.rebuilt)}"
        )
    return note

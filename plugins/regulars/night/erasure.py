"""Erasing a person: found in landing, recorded as tombstones, taken out of everything else.

The order is what makes it safe to kill. Nothing is destroyed before the tombstones are recorded;
from then on they alone say what is left to do, so whoever repeats the erasure, or resumes it
without knowing whose it was, ends it. Contacts are destroyed last of what they are needed to find.
"""

import getpass
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from uuid import UUID

from regulars.clock import clock_for
from regulars.credentials import CredentialsProvider
from regulars.errors import ErasureError, LeaseHeld, RegularsError
from regulars.landing import list_batches
from regulars.landing.persons import (
    Mention,
    Traces,
    clear_quarantine,
    iter_mentions,
    iter_withdrawn,
    quarantined_contacts,
)
from regulars.night.manifest import run_id_of
from regulars.night.persons import (
    Person,
    Wanted,
    find_person,
    free_contacts,
    native_ids,
)
from regulars.night.replay import running_replays
from regulars.night.steps import SUBJECTS, Night
from regulars.progress import report
from regulars.queues.erase import take_out_of_queue
from regulars.settings import Settings
from regulars.state import ErasedDigest, ErasedKeys, Erasure, StateStore
from regulars.state.lease import ERASING
from regulars.vault import ContactKind, Vault, normalise, open_vault
from regulars.vault.contacts import holds_contact
from regulars.warehouse.erase import reach_of, replace_published, rewrite_published
from regulars.warehouse.lock import warehouse_lock
from regulars.warehouse.read import published_path, query_published
from regulars.warehouse.session import remove_warehouse


@dataclass(frozen=True)
class Given:
    """What a person gave to be found by. ``repr`` is that of nobody in particular.

    Attributes:
        kind: ``phone``, ``email``, ``buyer_id``, ``order_id``, ``member_key``, ``customer_key``.
        value: as typed; ids as ``SHOP:ID``.
    """

    kind: str
    value: str

    def __repr__(self) -> str:
        return f"Given({self.kind!r}, ...)"


@dataclass(frozen=True)
class Outcome:
    """What an erasure did.

    Attributes:
        erasure: with its audit.
        is_known: it had been erased before; nothing was done.
        shared_contacts: contacts that stay, because somebody else has them, too.
        others: keys of customers who were one member with the erased ones, and stay.
        rebuilt: the warehouse stands again and its marts are published.
        note: why it does not, if so.
    """

    erasure: Erasure
    is_known: bool = False
    shared_contacts: int = 0
    others: tuple[UUID, ...] = ()
    rebuilt: bool = False
    note: str = ""

    @property
    def lines(self) -> list[str]:
        """For a person; names nobody."""
        erasure = self.erasure
        done = f"{erasure.finished_at:%Y-%m-%d %H:%M} UTC" if erasure.finished_at else "unfinished"
        told = [
            f"{erasure.erasure_id}: "
            + ("erased before" if self.is_known else "erased")
            + f" ({done}, by {erasure.requested_by}, request {erasure.request})",
            *(f"  {name:<24} {count:,}" for name, count in sorted(erasure.counts.items())),
        ]
        if self.shared_contacts:
            told.append(
                f"{self.shared_contacts} contacts stay, because somebody else has them, too: "
                "erase by phone or e-mail to take them from everybody"
            )
        told += others_told(self.others)
        if self.note:
            told.append(self.note)
        return told


def others_told(others: tuple[UUID, ...]) -> list[str]:
    """What to say of customers who are the same member and were not named, if any."""
    if not others:
        return []
    return [
        f"{len(others)} other customers of the same member stay: erase by --member-key, or by "
        "--customer-key each, to take them as well",
        *(f"  {key}" for key in others),
    ]


class Eraser:
    """Erases persons from one installation.

    Args:
        settings: where things are.
        credentials: finds a connection by its id.
        holder: who does it, for the lease.
        requested_by: who it is recorded under.
        pid: process that lives as long as the erasure, when there is one.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: CredentialsProvider,
        *,
        holder: str,
        requested_by: str,
        pid: int | None = None,
    ) -> None:
        self.settings = settings
        self.state = StateStore(settings.resolved_state_url)
        self._credentials = credentials
        self._holder = holder
        self._requested_by = requested_by
        self._pid = pid

    def erase(
        self,
        given: tuple[Given, ...],
        *,
        request: str,
        confirm: Callable[[Person], bool],
        rebuild: bool = True,
    ) -> Outcome:
        """Erase whoever is known by what was given, everywhere but in landing.

        Whoever was erased before is only looked for in what was refused or published since; the
        audit stays.

        Args:
            given: what the person is known by; several belong to one person.
            request: reference of the request; no personal data.
            confirm: told what was found; False leaves everything as it is.
            rebuild: build the warehouse anew and publish it; else the next night does.

        Raises:
            ErasureError: nobody is known by it, it is malformed, or it was not confirmed.
            LeaseHeld: a night runs, or somebody replays or restates one.
            RegularsError: a place could not be cleared; repeat the erasure.
        """
        if not request.strip() or holds_contact(request):
            raise ErasureError(
                "an erasure needs the reference of its request, without personal data",
                where="--request",
                next_step="give a ticket number or the date of a letter",
            )
        with self._leased(), self._vault() as vault:
            resumed = self._resume(vault)
            wanted = self._wanted(given, vault)
            erased = self.state.erasures.keys()
            person = find_person(
                self._mentions,
                wanted,
                withdrawn=lambda: iter_withdrawn(self.settings),
                bridge=self._bridge(),
                erased=erased,
                has_contacts=bool(vault.known(wanted.contacts)),
            )
            if erased.covers(person.keys):
                outcome = self._again(person, vault, wanted)
                rebuild = rebuild and bool(resumed)
            else:
                if not confirm(person):
                    raise ErasureError(
                        f"{len(person.customers)} customers were found and not confirmed",
                        where="regulars erase",
                        next_step="nothing was changed; confirm, or name one with --buyer-id "
                        "SHOP:ID",
                    )
                self._heartbeat()
                erasure = self.state.erasures.record(
                    person.keys,
                    route=", ".join(sorted({one.kind for one in given})),
                    request=request,
                    requested_by=self._requested_by,
                    now=clock_for(self.settings.clock_url).now(),
                    heirs=person.heirs,
                )
                report(f"{erasure.erasure_id} recorded: from now on nothing of them is loaded")
                done = self._carry_out(erasure, vault, wanted.plain, person.record_count)
                outcome = Outcome(
                    done, shared_contacts=person.shared_contacts, others=person.others
                )
        return self._rebuild(outcome) if rebuild else outcome

    def resume(self, *, rebuild: bool = True) -> list[Outcome]:
        """Carry out to their end the erasures that were recorded and then interrupted.

        Raises:
            LeaseHeld: a night runs, or somebody replays or restates one.
            RegularsError: a place could not be cleared; resume again.
        """
        with self._leased(), self._vault() as vault:
            outcomes = [Outcome(done) for done in self._resume(vault)]
        if outcomes and rebuild:
            outcomes[-1] = self._rebuild(outcomes[-1])
        return outcomes

    # -- finding ----------------------------------------------------------------------------

    def _mentions(self) -> Iterator[Mention]:
        return iter_mentions(self.settings, list_batches(self.settings))

    def _vault(self) -> Vault:
        return open_vault(self.settings.vault_path, self._credentials(self.settings.pii_connection))

    def _bridge(self) -> dict[UUID, UUID]:
        if not published_path(self.settings).exists():
            return {}
        _, rows = query_published(
            self.settings, "select customer_key, member_key from dim_member_identities"
        )
        return dict(rows)

    def _wanted(self, given: tuple[Given, ...], vault: Vault) -> Wanted:
        contacts: set[str] = set()
        plain: set[str] = set()
        pairs: dict[str, set[tuple[str, str]]] = defaultdict(set)
        keys: dict[str, set[UUID]] = defaultdict(set)
        kinds: dict[str, ContactKind] = {"phone": "phone", "email": "email"}
        for one in given:
            if one.kind in kinds:
                kind = kinds[one.kind]
                normal = normalise(kind, one.value)
                if not normal:
                    raise _malformed(one.kind, "it is empty")
                plain.add(normal)
                contacts.add(vault.hash_of(kind, normal))
                # In a field that no model knows, a contact stands as it was written.
                written = {vault.hash_of("other", text) for text in (one.value, normal)}
                contacts |= {one for one in written if vault.known([one])}
            elif one.kind in ("buyer_id", "order_id"):
                shop, separator, native_id = one.value.partition(":")
                if not (separator and shop and native_id):
                    raise _malformed(one.kind, "it is not SHOP:ID")
                pairs[one.kind].add((shop, native_id))
            else:
                try:
                    keys[one.kind].add(UUID(one.value))
                except ValueError:
                    raise _malformed(one.kind, "it is no key (a UUID)") from None
        return Wanted(
            contacts=frozenset(contacts),
            plain=frozenset(plain),
            buyers=frozenset(pairs["buyer_id"]),
            orders=frozenset(pairs["order_id"]),
            members=frozenset(keys["member_key"]),
            customers=frozenset(keys["customer_key"]),
        )

    # -- carrying out -----------------------------------------------------------------------

    def _resume(self, vault: Vault) -> list[Erasure]:
        done = []
        for erasure in self.state.erasures.unfinished():
            report(f"{erasure.erasure_id} was interrupted: carrying it out to its end")
            done.append(self._carry_out(erasure, vault, frozenset(), None))
        return done

    def _again(self, person: Person, vault: Vault, wanted: Wanted) -> Outcome:
        """Look through what was refused or published since; the audit is that of the first time.

        A night may have learned whose an order was after an older version had shown it.
        """
        keys = person.keys
        kinds = (
            ("customer", map(str, keys.customers)),
            ("order", map(str, keys.orders)),
            ("message", keys.messages),
            ("contact", keys.contacts),
        )
        found = (self.state.erasures.erasure_of(kind, key) for kind, some in kinds for key in some)
        first = min(one for one in found if one)
        self._clear_vault(first, vault, wanted.plain)
        self._clear_published(first, self.state.erasures.keys(), is_first=False)
        return Outcome(self.state.erasures.get(first), is_known=True)

    def _carry_out(
        self,
        erasure: Erasure,
        vault: Vault,
        plain: frozenset[str],
        record_count: int | None,
    ) -> Erasure:
        """Everything after the tombstones. Idempotent, and knows whom by the tombstones alone."""
        erasure_id = erasure.erasure_id
        counts = self._clear_vault(erasure_id, vault, plain)
        if record_count is not None:
            counts["landing_records_left_out"] = record_count
        self._heartbeat()
        keys = self.state.erasures.keys(erasure_id=erasure_id)
        taken = take_out_of_queue(self.settings.resolved_queue_url, keys.messages, erasure_id)
        if taken is not None:
            counts["queue_rows"] = taken
        self._heartbeat()
        counts.update(self._clear_published(erasure_id, keys, is_first=True))
        self._heartbeat()
        self._remove_warehouse()
        return self.state.erasures.finish(erasure_id, counts)

    def _clear_vault(self, erasure_id: str, vault: Vault, plain: frozenset[str]) -> dict[str, int]:
        """Quarantine first, because finding a contact in what is sealed needs the contact."""
        keys = self.state.erasures.keys(erasure_id=erasure_id)
        ids = native_ids(chain(self._mentions(), iter_withdrawn(self.settings)), keys)
        told = frozenset(vault.revealed(keys.contacts)) | plain
        traces = Traces(ids, keys.contacts, told)
        refused = quarantined_contacts(self.settings, vault, traces) - keys.contacts
        if refused:
            erased = self.state.erasures.keys()
            free = free_contacts(self._mentions, refused, erased)
            self.state.erasures.follow(erasure_id, ErasedKeys(contacts=free))
            keys = self.state.erasures.keys(erasure_id=erasure_id)
        cleared = clear_quarantine(self.settings, vault, traces, erasure_id)
        return {
            "quarantined_records": cleared.records,
            "quarantined_files": cleared.files,
            "vault_contacts": vault.erase_hashes(keys.contacts),
        }

    def _clear_published(
        self, erasure_id: str, keys: ErasedKeys, *, is_first: bool
    ) -> dict[str, int]:
        counts = {"published_files": 0, "published_rows": 0}
        head = self.state.erasures.head()
        reach = reach_of(self.settings, keys.customers)
        is_new = bool(self.state.erasures.extend_reach(erasure_id, reach))
        # Killed before all files were written, an erasure goes on with those that are left.
        is_reaching = is_new or (is_first and bool(self.state.erasures.reach(erasure_id)))
        apart = self.state.erasures.reach()
        for old, new in rewrite_published(
            self.settings, keys.row_keys, head, apart=apart, is_reaching=is_reaching
        ):
            content = new.content
            found = ErasedDigest(new.run_id, head, "rewritten", content.digest, content.tables)
            self.state.erasures.record_digest(found)
            replace_published(self.settings, old, new)
            counts["published_files"] += 1
            counts["published_rows"] += new.removed
        return counts

    def _remove_warehouse(self) -> None:
        """Derived, and DuckDB keeps deleted rows in its file: it is built anew."""
        settings = self.settings
        with warehouse_lock(
            settings.warehouse_path,
            holder=f"{self._holder} erasure",
            wait_seconds=settings.warehouse_lock_seconds,
        ):
            remove_warehouse(settings)
        # The locks beside these folders stay: somebody may hold one.
        for folder in (settings.data_dir / "replay").glob("*"):
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def _rebuild(self, outcome: Outcome) -> Outcome:
        """Build and publish the last completed night without them; nothing is decided or sent."""
        last = self.state.nights.last_completed_date()
        if last is None:
            return outcome
        run_id = run_id_of(last)
        night = Night(self.settings, self._credentials, holder=self._holder, pid=self._pid)
        try:
            self.state.lease.acquire(
                run_id, self._holder, self.settings.lease_seconds, pid=self._pid
            )
            try:
                night.load_raw(run_id)
                for subject in SUBJECTS:
                    night.build(run_id, subject)
                night.validate_marts(run_id)
                night.publish_marts(run_id)
            finally:
                self.state.lease.release(run_id, self._holder)
        except RegularsError as error:
            note = f"The warehouse was not built anew, the next night does: {error.what}"
            return _with(outcome, rebuilt=False, note=note)
        return _with(outcome, rebuilt=True, note="")

    # -- the lease --------------------------------------------------------------------------

    @contextmanager
    def _leased(self) -> Iterator[None]:
        held = self.state.lease.current()
        if held is not None and held.holder == self._holder:
            # An attempt of our own that was killed, while erasing or while building.
            self.state.lease.release(held.run_id, self._holder)
        self.state.lease.acquire(ERASING, self._holder, self.settings.lease_seconds, pid=self._pid)
        try:
            if replays := running_replays(self.settings):
                # It was begun without the tombstones, and would publish who is erased meanwhile.
                raise LeaseHeld(
                    f"{' and '.join(replays)} is still running",
                    where=str(self.settings.data_dir / "replay"),
                    next_step="wait until it has ended, then erase again; nothing was changed",
                )
            yield
        finally:
            self.state.lease.release(ERASING, self._holder)

    def _heartbeat(self) -> None:
        self.state.lease.heartbeat(ERASING, self._holder)


def _with(outcome: Outcome, *, rebuilt: bool, note: str) -> Outcome:
    return replace(outcome, rebuilt=rebuilt, note=note)


def _malformed(kind: str, why: str) -> ErasureError:
    option = f"--{kind.replace('_', '-')}"
    return ErasureError(
        f"{option} cannot be used: {why}",
        where="regulars erase",
        next_step="correct it; nothing was changed",
    )


def holder_of(command: str) -> str:
    """Who holds the lease, for the message that others read."""
    return f"{command} (pid {os.getpid()})"


def requester() -> str:
    """Who runs this process, as the audit names them."""
    return getpass.getuser()

"""Taking in a push: refusals first, then landing; when it returns, everything is on disk.

In this order a process that is killed in between has recorded a refusal too early, never too late,
and the provider pushes again. The same push again is the same batch, and its refusals are recorded
already. Any number of processes may be at it: a batch is written under its shop's own file lock, in
a folder that no night tidies up (docs/adr/0010).
"""

import fcntl
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from regulars.credentials import Credentials
from regulars.landing.batches import (
    DATA_SUFFIX,
    BatchWriter,
    Origin,
    Place,
    batch_id_of,
    find_landed,
    landing_errors,
)
from regulars.landing.contacts import quarantine_payload, tokenise_plain
from regulars.landing.writing import quarantine_defect, write_records
from regulars.receiving.config import Endpoint
from regulars.records import RawRecord
from regulars.settings import Settings
from regulars.shops import Shop, ShopsFile
from regulars.sources.receipts import SOURCE, STREAM
from regulars.sources.receipts.contract import REPORTS
from regulars.sources.receipts.reading import Report
from regulars.state import ConsentRecord, Decision, SentMessage, StateStore
from regulars.state.consent import EVERY_CHANNEL
from regulars.vault import ContactRef, Vault, open_vault

REPEATS_KNOWN_DAYS = 35
"""A push is recognised for so long; later its records are, by their ids."""

ONE_CLICK = "one_click"
"""Provider of what somebody unsubscribed through our own page."""

NO_MESSAGE = "send_id: no message of this installation"
OTHER_BRAND = "send_id: a message of another brand"
OTHER_CHANNEL = "channel: the message went through another one"
NEVER_SENT = "send_id: a message that was never to be sent"
NO_SUCH_CONTACT = "phone: nothing was sent to it lately"
AHEAD = "occurred_at: later than it was received"
NO_OFFSET = "occurred_at: without an offset"

_PART = "receive-"


@dataclass(frozen=True)
class Taken:
    """What became of a push.

    Attributes:
        landed: reports about messages of ours.
        quarantined: reports that were put aside, with their reasons.
        refusals: refusals that were new.
        is_repeat: it had landed before.
    """

    landed: int = 0
    quarantined: int = 0
    refusals: int = 0
    is_repeat: bool = False


@dataclass(frozen=True)
class _Read:
    """One report after its check.

    Attributes:
        values: canonical values; contacts still plain.
        reasons: why its shape is refused.
        contact_hash: of who it was sent to, or who answered.
        occurred_at: None when it says no instant.
    """

    report: Report
    values: Mapping[str, str]
    reasons: tuple[str, ...]
    contact_hash: str | None
    occurred_at: datetime | None


@dataclass(frozen=True)
class _Judged:
    """One report and what the ledger knows of it.

    Attributes:
        record: as it lands.
        decision: the message it is about, if there is one.
        reasons: why it changes no message; it is put aside.
        may_refuse: whether a refusal in it counts.
    """

    read: _Read
    record: RawRecord
    decision: Decision | None
    reasons: tuple[str, ...]
    may_refuse: bool


class Intake:
    """Takes in pushes. Safe to use from any number of threads and processes.

    Args:
        settings: where landing and vault stand.
        shops: config/shops.yml.
        state: the ledger and the refusals.
        key: the Connection with the personal-data key.
        ahead: by how much a provider's clock may be ahead.
        reply_reach: how long after a message a reply is taken to be about it.
    """

    def __init__(
        self,
        settings: Settings,
        shops: ShopsFile,
        state: StateStore,
        key: Credentials,
        *,
        ahead: timedelta = timedelta(minutes=5),
        reply_reach: timedelta = timedelta(days=30),
    ) -> None:
        self._settings = settings
        self._shops = {shop.shop: shop for shop in shops.shops}
        self._state = state
        self._key = key
        self._ahead = ahead
        self._reply_reach = reply_reach

    def take(
        self, endpoint: Endpoint, reports: Sequence[Report], content: bytes, now: datetime
    ) -> Taken:
        """Record the refusals of one push and land it.

        Args:
            endpoint: where it was pushed to.
            reports: what its provider's module read in it.
            content: the body; equal bodies of one endpoint are one push.
            now: the present on the shops' clock (aware).

        Raises:
            LandingError: the disk is full, or landing or vault cannot be used; no half batch is
                left and the provider should push again.
            StateError: recorded state cannot be used.
        """
        entry = endpoint.entry
        sha256 = hashlib.sha256(entry.endpoint.encode() + b"\n" + content).hexdigest()
        with open_vault(self._settings.vault_path, self._key) as vault:
            judged = self._judge(entry.brand, _read(vault, reports), now)
            groups: dict[str, list[_Judged]] = defaultdict(list)
            for one in judged:
                groups[self._shop_code(one, entry.shop)].append(one)
            is_repeat = any(self._is_known(self._shops[code], sha256, now) for code in groups)
            evidence = f"{entry.endpoint}, push {sha256[:16]}"
            refusals = self._record_refusals(judged, entry.brand, evidence, now, is_repeat)
            origin = Origin(entry.endpoint, now, sha256=sha256)
            for code in sorted(groups):
                self._land(vault, self._shops[code], groups[code], origin)
        refused = sum(bool(one.reasons) for one in judged)
        return Taken(len(judged) - refused, refused, refusals, is_repeat)

    def unsubscribe(self, message_id: str, now: datetime) -> bool:
        """Record that the recipient of a message unsubscribed; False when there is none such.

        Said again, it changes nothing as long as it is the last word.

        Raises:
            LandingError: as :meth:`take`.
            StateError: recorded state cannot be used.
        """
        decision = self.addressed(message_id)
        if decision is None:
            return False
        if not self._has_refused(decision):
            self._state.consent.record([_refusal(decision, now, f"one click on {message_id}")])
        shop = self._shops.get(decision.shop)
        if shop is None:  # it was removed from the configuration; the refusal stands
            return True
        told = (ONE_CLICK, decision.channel, message_id, "unsubscribed")
        record = {
            **dict(zip(("provider", "channel", "send_id", "event"), told, strict=True)),
            "receipt_id": _receipt_id(told),
            "occurred_at": now.isoformat(sep=" "),
        }
        read = _Read(Report(record, is_refusal=True), {}, (), None, now)
        one = _Judged(read, RawRecord(record, "page"), decision, (), may_refuse=True)
        sha256 = hashlib.sha256(f"{ONE_CLICK}\n{message_id}".encode()).hexdigest()
        with open_vault(self._settings.vault_path, self._key) as vault:
            self._land(vault, shop, [one], Origin(ONE_CLICK, now, sha256=sha256))
        return True

    def addressed(self, message_id: str) -> Decision | None:
        """The message to send that has this id."""
        decision = self._state.ledger.find([message_id]).get(message_id)
        return decision if decision is not None and decision.outcome == "send" else None

    # -- what the ledger knows ---------------------------------------------------------------

    def _judge(self, brand: str, reads: Sequence[_Read], now: datetime) -> list[_Judged]:
        decisions = self._state.ledger.find(
            one.values["send_id"] for one in reads if "send_id" in one.values
        )
        answered = self._answered(brand, reads, now)
        judged = []
        for one in reads:
            if one.report.is_reply:
                sent = answered.get(one.contact_hash or "", ())
                decision = _answered_one(sent, one.occurred_at or now, self._reply_reach)
            else:
                decision = decisions.get(one.values.get("send_id", ""))
            reasons = one.reasons
            if one.report.defect is None:
                reasons += self._objections(one, brand, decision, now)
            record = _record(one, decision)
            is_foreign = decision is not None and decision.brand != brand
            if not {OTHER_BRAND, NO_MESSAGE, NEVER_SENT}.isdisjoint(reasons):
                decision = None
            judged.append(_Judged(one, record, decision, reasons, may_refuse=not is_foreign))
        return judged

    def _answered(
        self, brand: str, reads: Sequence[_Read], now: datetime
    ) -> dict[str, list[tuple[SentMessage, Decision]]]:
        """What left for the contacts that replied, by contact hash, oldest first."""
        replies = [one for one in reads if one.report.is_reply and one.contact_hash]
        if not replies:
            return {}
        earliest = min(one.occurred_at or now for one in replies) - self._reply_reach
        wanted = {one.contact_hash for one in replies if one.contact_hash}
        sent = self._state.ledger.exported_to(brand, [], wanted, earliest)
        decisions = self._state.ledger.find(one.message_id for one in sent)
        found: dict[str, list[tuple[SentMessage, Decision]]] = defaultdict(list)
        for one in sorted(sent, key=lambda message: (message.send_at, message.message_id)):
            if one.contact_hash and one.channel == "sms":
                found[one.contact_hash].append((one, decisions[one.message_id]))
        return found

    def _objections(
        self, one: _Read, brand: str, decision: Decision | None, now: datetime
    ) -> tuple[str, ...]:
        """Why a report of the right shape changes no message."""
        found = []
        if decision is None:
            found.append(NO_SUCH_CONTACT if one.report.is_reply else NO_MESSAGE)
        elif decision.brand != brand:
            found.append(OTHER_BRAND)
        elif decision.outcome != "send":
            found.append(NEVER_SENT)
        elif decision.channel != one.values.get("channel"):
            found.append(OTHER_CHANNEL)
        if one.occurred_at is not None and one.occurred_at > now + self._ahead:
            found.append(AHEAD)
        return tuple(found)

    # -- refusals ------------------------------------------------------------------------------

    def _record_refusals(
        self, judged: Iterable[_Judged], brand: str, evidence: str, now: datetime, is_repeat: bool
    ) -> int:
        records = []
        for one in judged:
            read = one.read
            if not read.report.is_refusal or not one.may_refuse:
                continue
            said_at = read.occurred_at
            if said_at is None or said_at > now + self._ahead:
                if is_repeat:
                    continue  # recorded when it first came, and only its own time would tell so
                said_at = now
            what = f"{one.record.payload.get('event')} through {evidence}"
            own_hash = None
            if one.decision is not None:
                records.append(_refusal(one.decision, said_at, what))
                own_hash = one.decision.contact_hash
            if read.contact_hash and read.contact_hash != own_hash:
                channel = read.values.get("channel", EVERY_CHANNEL)
                records.append(
                    ConsentRecord(brand, read.contact_hash, None, channel, "refusal", said_at, what)
                )
        return self._state.consent.record(records) if records else 0

    def _has_refused(self, decision: Decision) -> bool:
        """Whether the person and the contact, both, last said no."""
        speakers: list[object] = [decision.member_key]
        hashes = [decision.contact_hash] if decision.contact_hash else []
        newest: dict[object, tuple[datetime, bool]] = {}
        for word in self._state.consent.about(decision.brand, [decision.member_key], hashes):
            if word.channel in (decision.channel, EVERY_CHANNEL):
                said = (word.occurred_at, word.kind == "refusal")
                for speaker in (word.member_key, word.contact_hash):
                    newest[speaker] = max(newest.get(speaker, said), said)
        return all(one in newest and newest[one][1] for one in [*speakers, *hashes])

    # -- landing -------------------------------------------------------------------------------

    def _shop_code(self, one: _Judged, home: str) -> str:
        """Where a report lands: at the shop that sent the message, else at the endpoint's own."""
        is_ours = one.decision is not None and not one.reasons
        code = one.decision.shop if is_ours and one.decision is not None else home
        return code if code in self._shops else home

    def _place(self, shop: Shop, now: datetime) -> Place:
        today = now.astimezone(shop.tzinfo).date()
        return Place(SOURCE, shop.brand, shop.platform, shop.shop, STREAM, today)

    def _is_known(self, shop: Shop, sha256: str, now: datetime) -> bool:
        """Whether this push landed for the shop before."""
        today = self._place(shop, now)
        for days in range(-1, REPEATS_KNOWN_DAYS + 1):
            place = replace(today, window_date=today.window_date - timedelta(days=days))
            if _landed(self._settings, place, sha256):
                return True
        return False

    def _land(self, vault: Vault, shop: Shop, group: Sequence[_Judged], origin: Origin) -> None:
        sha256 = origin.sha256 or ""
        with landing_errors(self._settings.receiving_dir), self._locked(shop.shop):
            if self._is_known(shop, sha256, origin.extracted_at):
                return
            place = self._place(shop, origin.extracted_at)
            self._remove_debris(place, sha256)
            good = [one.record for one in group if not one.reasons]
            bad = [one for one in group if one.reasons]
            try:
                with BatchWriter(self._settings, place, f"{_PART}{uuid4().hex[:12]}") as writer:
                    write_records(writer, REPORTS, vault, good)
                    for line, one in enumerate(bad, len(good) + 1):
                        _put_aside(writer, vault, line, one)
                    writer.commit(origin)
            except BaseException:
                self._remove_debris(place, sha256)
                raise

    @contextmanager
    def _locked(self, shop: str) -> Iterator[None]:
        """One writer per shop, in this process and in all others of this host."""
        self._settings.receiving_dir.mkdir(parents=True, exist_ok=True)
        with (self._settings.receiving_dir / f"{shop}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _remove_debris(self, place: Place, sha256: str) -> None:
        """Delete what a push left unfinished: under the lock, nobody else is writing it."""
        landing = self._settings.landing_dir
        is_whole = _landed(self._settings, place, sha256)
        for root in (landing, self._settings.quarantine_dir):
            for path in (root / place.folder).glob(f"{STREAM}-{_PART}*.part"):
                path.unlink(missing_ok=True)
            if not is_whole:
                _path(root, place, sha256, DATA_SUFFIX).unlink(missing_ok=True)


def _landed(settings: Settings, place: Place, sha256: str) -> bool:
    name = batch_id_of(place.shop, STREAM, place.window_date, sha256)
    return find_landed(settings, place.folder, name) is not None


def _path(root: Path, place: Place, sha256: str, suffix: str) -> Path:
    name = batch_id_of(place.shop, STREAM, place.window_date, sha256)
    return root / place.folder / f"{name}{suffix}"


def _read(vault: Vault, reports: Sequence[Report]) -> list[_Read]:
    """Check every report and hash the contacts in them."""
    checked = [REPORTS.check({**_PENDING, **_given(one)}) for one in reports]
    refs: dict[str, ContactRef] = {}
    for name, kind in REPORTS.contacts.items():
        values = {one.values[name] for one in checked if name in one.values}
        refs.update(tokenise_plain(vault, kind, values))
    reads = []
    for report, one in zip(reports, checked, strict=True):
        if report.defect is not None:
            reads.append(_Read(report, {}, (report.defect,), None, None))
            continue
        contact = next((one.values[name] for name in REPORTS.contacts if name in one.values), "")
        instant = one.values.get("occurred_at")
        occurred_at = datetime.fromisoformat(instant) if instant else None
        reasons = tuple(one.reasons)
        if occurred_at is not None and occurred_at.tzinfo is None:
            occurred_at, reasons = None, (*reasons, NO_OFFSET)
        contact_hash = refs[contact].hash if contact in refs else None
        reads.append(_Read(report, one.values, reasons, contact_hash, occurred_at))
    return reads


_PENDING = {"receipt_id": "?", "send_id": "?"}
"""What the ledger gives, for the check of all else."""


def _given(report: Report) -> dict[str, object]:
    return {name: value for name, value in report.record.items() if value is not None}


def _record(one: _Read, decision: Decision | None) -> RawRecord:
    """The report as it lands: with the message it answers, and an id made of what it says."""
    if one.report.defect is not None:
        return RawRecord(one.report.record, "item", one.report.defect)
    told = ("provider", "channel", "send_id", "event", "occurred_at", "native_id")
    parts = [one.values.get(name, "") for name in told]
    record = {
        **_given(one.report),
        # Never the contact itself: whoever knows the rest could try all numbers.
        "receipt_id": _receipt_id([*parts, one.contact_hash or ""]),
    }
    if one.report.is_reply and decision is not None:
        record["send_id"] = decision.message_id
    return RawRecord(record, "item")


def _answered_one(
    sent: Sequence[tuple[SentMessage, Decision]], at: datetime, reach: timedelta
) -> Decision | None:
    """The last message that had left when somebody replied, if it was not long before."""
    found = [one for message, one in sent if at - reach <= message.send_at <= at]
    return found[-1] if found else None


def _receipt_id(parts: Sequence[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def _refusal(decision: Decision, said_at: datetime, evidence: str) -> ConsentRecord:
    """The person and the contact refuse, each for itself."""
    return ConsentRecord(
        brand=decision.brand,
        contact_hash=decision.contact_hash,
        member_key=decision.member_key,
        channel=decision.channel,
        kind="refusal",
        occurred_at=said_at,
        evidence=evidence,
        customer_key=decision.customer_key,
    )


def _put_aside(writer: BatchWriter, vault: Vault, line: int, one: _Judged) -> None:
    if one.record.defect is not None:
        quarantine_defect(writer, vault, line, one.record)
        return
    refused = {reason.partition(":")[0].partition(".")[0] for reason in one.read.reasons}
    payload = quarantine_payload(REPORTS, one.record.payload, refused, vault)
    if any(key.endswith("_ref") for key in payload):
        payload["_key_id"] = writer.key_id = vault.key_id
    writer.quarantine(line, list(one.reasons), payload)

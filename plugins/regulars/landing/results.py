"""What a landing leaves behind: batches, and what could not be landed, by name."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from regulars.errors import REFUSALS, FileRefused, QuarantineExceeded, RegularsError, SourceError
from regulars.records import BatchManifest, Window
from regulars.shops import Shop
from regulars.sources import quarantine_share

_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LandingFailure:
    """One window or file that did not land, or not wholly.

    Attributes:
        shop: code of the shop.
        stream: its stream; empty for a file outside every stream's folder.
        what: the window (``2017-10-01T00:00+08:00/...``) or the name of the file.
        error: what went wrong, with place and next step.
        window: the span to be asked again, for an API.
    """

    shop: str
    stream: str
    what: str
    error: RegularsError
    window: Window | None = None

    def __str__(self) -> str:
        return f"{self.shop}/{self.stream} {self.what}: {self.error}"


@dataclass(frozen=True)
class LandingResult(Sequence[BatchManifest]):
    """The batches of one landing, in order; a sequence of them.

    Attributes:
        batches: every batch of the windows or files, those that had landed before included.
        known_ids: ids of the batches that had landed before.
        completed: windows that were read to their end without a gap.
        failures: what did not land; everything else did.
        strays: what lies in the inbox and will never be taken, with the reason: a warning.
    """

    batches: tuple[BatchManifest, ...] = ()
    known_ids: frozenset[str] = frozenset()
    completed: tuple[Window, ...] = ()
    failures: tuple[LandingFailure, ...] = ()
    strays: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> BatchManifest: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[BatchManifest]: ...

    def __getitem__(self, index: int | slice) -> BatchManifest | Sequence[BatchManifest]:
        return self.batches[index]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[BatchManifest]:
        return iter(self.batches)

    @property
    def is_refused(self) -> bool:
        """Whether the platform refuses further calls, too: the day's quota is gone, or the key."""
        return any(isinstance(failure.error, REFUSALS) for failure in self.failures)

    def raise_if_failed(self) -> None:
        """Raise the first failure, or the first refusal of every call, when there is one.

        Raises:
            RegularsError: the failure's own error; further ones are counted in its text.
        """
        if not self.failures:
            return
        # A refusal of every call says more than what failed beside it, and what may go well the
        # next time more than a file that will not.
        first, *more = sorted(
            self.failures,
            key=lambda failure: (
                not isinstance(failure.error, REFUSALS),
                isinstance(failure.error, FileRefused),
            ),
        )
        if not more:
            raise first.error
        names = "; ".join(f"{one.stream} {one.what}" for one in more[:5])
        kind = type(first.error) if isinstance(first.error, SourceError) else SourceError
        raise kind(
            f"{first.error.what}; {len(more)} more failed: {names}",
            where=first.error.where,
            next_step=first.error.next_step,
        ) from first.error


def merge_results(results: Iterable[LandingResult]) -> LandingResult:
    """Several landings of one stream as one; a batch that came twice stands once."""
    whole = LandingResult()
    for one in results:
        whole = LandingResult(
            tuple({batch.batch_id: batch for batch in (*whole.batches, *one.batches)}.values()),
            whole.known_ids | one.known_ids,
            (*whole.completed, *one.completed),
            (*whole.failures, *one.failures),
            (*whole.strays, *one.strays),
        )
    return whole


def span_text(shop: Shop, window: Window) -> str:
    """A span as people read it: both ends in the shop's own time, ISO 8601."""
    start, end = (one.astimezone(shop.tzinfo).isoformat() for one in (window.start, window.end))
    return f"{start}/{end}"


def check_quarantine_share(shop: Shop, manifest: BatchManifest) -> None:
    """Fail when more records of a batch were quarantined than the shop allows.

    Call it after landing: what is good has landed either way.

    Raises:
        QuarantineExceeded: names stream, share, the commonest reasons and the folder.
    """
    whole = manifest.record_count + manifest.quarantined_count
    allowed = shop.allowed_quarantine_share(manifest.stream, quarantine_share(manifest.source))
    if not whole or manifest.quarantined_count <= allowed * whole:
        return
    commonest = sorted(manifest.quarantine_reasons.items(), key=lambda item: (-item[1], item[0]))
    reasons = ", ".join(f"{reason} ({count})" for reason, count in commonest[:_REASONS_SHOWN])
    raise QuarantineExceeded(
        f"{manifest.quarantined_count} of {whole} records are quarantined "
        f"({manifest.quarantined_count / whole:.1%}, allowed {allowed:.1%}): {reasons}",
        where=f"{manifest.shop}/{manifest.stream} {manifest.origin}, data/quarantine/"
        f"{manifest.path}",
        next_step=f"look at them (`regulars quarantine show {manifest.batch_id}`), then correct "
        "and release them, or take the batch out (`regulars landing withdraw "
        f"{manifest.batch_id} --reason ...`) and deliver it again; or raise quarantine_share of "
        "the shop in config/shops.yml",
    )

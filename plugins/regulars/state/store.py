"""Recorded state, as the rest of the package opens it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from regulars.state.consent import ConsentLedger
from regulars.state.database import Database
from regulars.state.decisions import CommitResult, Ledger
from regulars.state.erasures import Erasures
from regulars.state.facts import Facts, Thresholds
from regulars.state.identity import IdentityDecisions
from regulars.state.lease import RunLease
from regulars.state.loyalty import PointRedemptions, TierGrants
from regulars.state.migrations import migrate
from regulars.state.nights import Nights, Watermarks
from regulars.state.streams import iter_rows, read_heads
from regulars.state.value_models import ValueModels


def _machine_now() -> datetime:
    return datetime.now(UTC)


class StateStore:
    """What is recorded, not derived. Opening it brings the database to the newest schema.

    Safe to open in any number of processes; it holds no connection between calls.

    Attributes:
        lease: the one run lease.
        nights: nights, open and completed.
        watermarks: how far each stream of each shop was read.
        ledger: decisions and message events.
        consent: refusals and consents.
        erasures: who was erased, as keys that name nobody.
        identity: which customers are one person, or two, as decided by hand.
        thresholds: versions of cut points.
        value_models: versions of the value models' parameters.
        facts: small named JSON values.
        grants: tiers given to members.
        redemptions: gifts taken for points.

    Args:
        url: ``settings.resolved_state_url``: ``sqlite:///path`` or ``postgresql://…``.
        clock: the machine's clock (aware UTC); times the lease and the bookkeeping columns.

    Raises:
        ConfigError: the URL is malformed.
        StateError: the database cannot be reached, or is newer than this code.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] = _machine_now) -> None:
        self._database = Database(url)
        migrate(self._database, clock())
        self.place = self._database.place
        self.lease = RunLease(self._database, clock)
        self.nights = Nights(self._database, clock)
        self.watermarks = Watermarks(self._database)
        self.ledger = Ledger(self._database, clock)
        self.consent = ConsentLedger(self._database)
        self.erasures = Erasures(self._database, clock)
        self.identity = IdentityDecisions(self._database)
        self.thresholds = Thresholds(self._database)
        self.value_models = ValueModels(self._database)
        self.facts = Facts(self._database, clock)
        self.grants = TierGrants(self._database)
        self.redemptions = PointRedemptions(self._database)

    def commit_decisions(
        self,
        run_id: str,
        campaign: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        occurred_at: datetime | None = None,
    ) -> CommitResult:
        """Decide the considered set of a night's campaign, once: see :meth:`Ledger.commit`."""
        return self.ledger.commit(run_id, campaign, rows, occurred_at=occurred_at)

    def stream_heads(self) -> dict[str, int]:
        """The last ``seq`` of each stream of :data:`regulars.state.STREAMS`; 0 when empty."""
        return read_heads(self._database)

    def iter_stream(self, name: str, after_seq: int, up_to_seq: int) -> Iterator[dict[str, Any]]:
        """Rows of a stream with ``after_seq < seq <= up_to_seq``, in order.

        Columns and their DuckDB types are ``STREAMS[name].columns``; instants are naive UTC.

        Raises:
            StateError: there is no such stream.
        """
        return iter_rows(self._database, name, after_seq, up_to_seq)

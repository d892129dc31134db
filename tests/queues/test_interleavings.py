"""Any order of commits, exports, deaths, repetitions and refusals keeps the two promises.

Each message stands at most once in the queue, and considered = sent + suppressed + holdout.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from regulars.queues import export_messages
from regulars.queues.transports import FileQueue
from regulars.state import ConsentRecord, StateStore
from tests.queues.shop import NIGHT, campaign, queued, rules
from tests.state.processes import steps
from tests.state.rows import DAY, held_out, proposal, suppressed

CODES = ("gift", "coupon")
RULES = rules(campaign(), campaign("coupon", priority=30))
MEMBERS = range(1, 5)


class _DiedError(BaseException):
    """The process ends here."""


@contextmanager
def dying_at(point: int | None) -> Iterator[None]:
    """Let whatever runs inside die at its ``point``-th step."""

    def reached(number: int, _name: str) -> None:
        if number == point:
            raise _DiedError

    try:
        with steps(reached):
            yield
    except _DiedError:
        pass


class Nights(RuleBasedStateMachine):
    template: Path | None = None

    @initialize()
    def start(self) -> None:
        if Nights.template is None:
            Nights.template = Path(tempfile.mkdtemp()) / "state.db"
            StateStore(f"sqlite:///{Nights.template}")
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(Nights.template, self.folder / "state.db")
        self.state = StateStore(f"sqlite:///{self.folder / 'state.db'}")
        self.queue = FileQueue(self.folder / "queues")
        self.night = 0
        self.state.nights.open(DAY)
        self.refused: set[int] = set()
        self.ever_queued: Counter[str] = Counter()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self._export(None)
            self.each_message_is_queued_at_most_once()
            assert self.state.ledger.unsettled_batches() == []
            sends = {row["message_id"] for row in self._decisions() if row["outcome"] == "send"}
            assert set(self._exits()) == sends
            self._everybody_considered_is_sent_held_out_or_suppressed()
            shutil.rmtree(self.folder)

    @property
    def run_id(self) -> str:
        return self.state.nights.open(DAY + timedelta(days=self.night)).run_id

    @rule()
    def next_night(self) -> None:
        self.night += 1

    @rule(
        code=st.sampled_from(CODES),
        outcomes=st.dictionaries(
            st.sampled_from(MEMBERS), st.sampled_from(["send", "hold", "no", "later"])
        ),
        occasion=st.sampled_from(["a", "b"]),
        point=st.none() | st.integers(0, 14),
    )
    def commit(self, code: str, outcomes: dict[int, str], occasion: str, point: int | None) -> None:
        values: dict[str, Any] = {
            "campaign": code,
            "occasion": occasion,
            "planned_at": (NIGHT + timedelta(days=self.night, hours=8)).replace(tzinfo=None),
            "as_of_date": DAY + timedelta(days=self.night),
        }
        rows = []
        for number, outcome in outcomes.items():
            # Members 1 and 2 share a contact.
            own = {**values, "contact_hash": f"hash_{max(number, 2)}"}
            rows.append(
                {
                    "send": lambda n, v: proposal(n, **v),
                    "hold": lambda n, v: held_out(n, **v),
                    "no": lambda n, v: suppressed(n, "no_consent", **v),
                    "later": lambda n, v: suppressed(n, "cap", is_final=False, **v),
                }[outcome](number, own)
            )
        run_id = self.run_id
        with dying_at(point):
            self.state.commit_decisions(run_id, code, rows)

    @rule(point=st.none() | st.integers(0, 60))
    def export(self, point: int | None) -> None:
        self._export(point)

    @rule(number=st.sampled_from(MEMBERS))
    def refuse(self, number: int) -> None:
        at = NIGHT + timedelta(days=self.night)
        hash_ = f"hash_{max(number, 2)}"
        self.state.consent.record([ConsentRecord("demo", hash_, None, "sms", "refusal", at, "r")])

    def _export(self, point: int | None) -> None:
        run_id = self.run_id
        now = NIGHT + timedelta(days=self.night)
        with dying_at(point):
            export_messages(self.state, self.queue, run_id=run_id, now=now, rules=RULES)

    def _decisions(self) -> list[dict[str, Any]]:
        return list(self.state.iter_stream("state__decisions", 0, 10**9))

    def _exits(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for row in self.state.iter_stream("state__message_events", 0, 10**9):
            if row["event"] in ("exported", "suppressed_at_exit"):
                assert row["message_id"] not in found
                found[row["message_id"]] = row["event"]
        return found

    @invariant()
    def each_message_is_queued_at_most_once(self) -> None:
        if not hasattr(self, "folder"):
            return
        ids = Counter(row["message_id"] for row in queued(self.folder / "queues"))
        assert not ids or max(ids.values()) == 1
        assert set(self.ever_queued) <= set(ids)  # what was handed over stays
        self.ever_queued = ids
        exits = self._exits()
        exported = {message_id for message_id, event in exits.items() if event == "exported"}
        assert exported <= set(ids)
        assert all(exits.get(message_id, "exported") == "exported" for message_id in ids)

    def _everybody_considered_is_sent_held_out_or_suppressed(self) -> None:
        decisions = self._decisions()
        assert max(Counter(row["message_id"] for row in decisions).values(), default=1) == 1
        for night in range(self.night + 1):
            run_id = self.state.nights.open(DAY + timedelta(days=night)).run_id
            for code in CODES:
                result = self.state.ledger.result(run_id, code)
                own = [
                    row["outcome"]
                    for row in decisions
                    if (row["run_id"], row["campaign"]) == (run_id, code)
                ]
                if result is None:
                    assert own == []
                    continue
                outcomes = Counter(own)
                assert outcomes["send"] == result.sent
                assert outcomes["holdout"] == result.holdout
                assert outcomes["suppressed"] + result.deferred == result.suppressed
                assert sum(result.reasons.values()) == result.suppressed
                assert result.new + result.deferred == result.considered
                assert self.state.ledger.verify(run_id, code)


TestInterleavings = pytest.mark.slow(Nights.TestCase)
TestInterleavings.settings = settings(
    max_examples=20,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

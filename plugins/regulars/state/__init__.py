"""What is recorded, not derived: decisions, refusals, nights, versions, the run lease."""

from regulars.state.consent import ConsentRecord
from regulars.state.decisions import (
    CommitResult,
    Decision,
    MessageEvent,
    SentMessage,
)
from regulars.state.erasures import ERASED, TOMBSTONES, ErasedDigest, ErasedKeys, Erasure, Reach
from regulars.state.facts import ThresholdVersion
from regulars.state.identity import IdentityDecision
from regulars.state.lease import Lease
from regulars.state.loyalty import PointRedemption, TierGrant
from regulars.state.nights import Night, Watermark, run_id_of
from regulars.state.proposals import Proposal, message_id_of
from regulars.state.store import StateStore
from regulars.state.streams import STREAMS
from regulars.state.value_models import ValueCalibration, ValueModelVersion

__all__ = [
    "ERASED",
    "STREAMS",
    "TOMBSTONES",
    "CommitResult",
    "ConsentRecord",
    "Decision",
    "ErasedDigest",
    "ErasedKeys",
    "Erasure",
    "IdentityDecision",
    "Lease",
    "MessageEvent",
    "Night",
    "PointRedemption",
    "Proposal",
    "Reach",
    "SentMessage",
    "StateStore",
    "ThresholdVersion",
    "TierGrant",
    "ValueCalibration",
    "ValueModelVersion",
    "Watermark",
    "message_id_of",
    "run_id_of",
]

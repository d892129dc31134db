"""Landing: what sources gave, immutable, one batch per window or file.

Records are checked one by one and numbered, bad ones put aside with their reasons, contact fields
replaced by tokens. Knows no source beyond its payload model.
"""

from regulars.landing.batches import (
    find_by_content,
    list_batches,
    read_batch,
    remove_debris,
    verify,
)
from regulars.landing.results import LandingFailure, LandingResult, check_quarantine_share
from regulars.landing.streams import land_stream

__all__ = [
    "LandingFailure",
    "LandingResult",
    "check_quarantine_share",
    "find_by_content",
    "land_stream",
    "list_batches",
    "read_batch",
    "remove_debris",
    "verify",
]

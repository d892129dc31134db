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
    withdraw,
)
from regulars.landing.coverage import landing_gaps
from regulars.landing.results import (
    LandingFailure,
    LandingResult,
    check_quarantine_share,
    merge_results,
    span_text,
)
from regulars.landing.streams import land_stream, open_shop

__all__ = [
    "LandingFailure",
    "LandingResult",
    "check_quarantine_share",
    "find_by_content",
    "land_stream",
    "landing_gaps",
    "list_batches",
    "merge_results",
    "open_shop",
    "read_batch",
    "remove_debris",
    "span_text",
    "verify",
    "withdraw",
]

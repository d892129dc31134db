"""What providers push about messages: delivery reports, replies, opens, clicks, complaints.

One module per provider says what its fields mean; all become records of one stream, ``reports``.
"""

from regulars.sources.receipts.contract import REPORTS, SOURCE, STREAM

PAYLOADS = {STREAM: REPORTS}

QUARANTINE_SHARE = 1.0
"""An account is shared: reports of messages that others sent through it are no fault of a shop."""

__all__ = ["PAYLOADS", "QUARANTINE_SHARE", "SOURCE", "STREAM"]

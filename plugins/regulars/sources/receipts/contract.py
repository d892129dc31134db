"""The one record that every provider's report becomes."""

from regulars.sources.payloads import Field, PayloadModel

SOURCE = "receipts"
STREAM = "reports"

EVENTS = (
    "accepted",
    "delivered",
    "failed",
    "intercepted",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "unsubscribed",
    "replied",
)
"""The events of the file contract's receipts, and ``replied``: an answer that refuses nothing."""

CHANNELS = ("sms", "email")

REPORTS = PayloadModel(
    SOURCE,
    STREAM,
    (
        Field("receipt_id", "id", required=True, note="the same report has the same id"),
        Field("send_id", "id", required=True, note="message id of the ledger", refers="message"),
        Field("event", "enum", required=True, values=EVENTS),
        Field("occurred_at", "timestamp", required=True, note="with its offset"),
        Field("provider", "text", required=True),
        Field("channel", "enum", required=True, values=CHANNELS),
        Field("native_id", "id", note="the provider's own id of the sending or of the event"),
        Field("code", "text", note="the provider's or the carrier's code"),
        Field("part_count", "integer", note="messages that an SMS was billed as"),
        Field("is_machine", "flag", note="a scanner or a proxy opened or clicked, not a person"),
        Field("phone", "contact", contact="phone"),
        Field("email", "contact", contact="email"),
    ),
    "One row per report about a message.",
    key=("receipt_id",),
)

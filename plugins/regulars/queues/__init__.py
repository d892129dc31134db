"""From proposals to senders: commit, exit check, export, transports."""

from regulars.queues.campaigns import (
    Campaign,
    SendingHours,
    load_campaigns,
    load_sending_hours,
    queue_models,
)
from regulars.queues.caps import Cap, read_caps
from regulars.queues.commit import commit_proposals
from regulars.queues.export import BatchExport, ExportRules, export_messages
from regulars.queues.transports import transport_for
from regulars.queues.unsubscribe import UnsubscribeLinks

__all__ = [
    "BatchExport",
    "Campaign",
    "Cap",
    "ExportRules",
    "SendingHours",
    "UnsubscribeLinks",
    "commit_proposals",
    "export_messages",
    "load_campaigns",
    "load_sending_hours",
    "queue_models",
    "read_caps",
    "transport_for",
]

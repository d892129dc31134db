"""Taking a person's messages out of the send queue."""

from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote, urlsplit

from regulars.queues.transports import FileQueue


def take_out_of_queue(url: str, message_ids: Collection[str], erasure_id: str) -> int | None:
    """Take messages out of the queue behind ``settings.resolved_queue_url``.

    Only for the holder of the run lease. Repeating it finishes what a killed one began.

    Args:
        url: the queue.
        message_ids: every message that was ever considered for the person.
        erasure_id: what the manifests say they were taken out for.

    Returns:
        Rows taken out; None for a broker, which gives nothing back. Whoever takes such a message
        from it finds the contact gone from the vault at hand-off.

    Raises:
        QueueError: somebody exports, or a file is in doubt or cannot be written.
    """
    if urlsplit(url).scheme != "file":
        return None
    wanted = frozenset(message_ids)
    with FileQueue(Path(unquote(url.removeprefix("file://")))).open() as queue:
        return queue.take_out(lambda row: row["message_id"] in wanted, erasure_id)

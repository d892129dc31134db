"""RabbitMQ: one durable queue per channel, persistent messages, publisher confirms.

At least once: a message counts as handed over when the broker has confirmed it, but broker and
ledger share no transaction. An export that dies between confirm and record publishes at most
``rows_per_handover`` messages again, under the same ``message_id`` property, by which senders must
drop what they have seen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import urlsplit

from kombu import Connection, Producer, Queue
from kombu.exceptions import KombuError

from regulars.errors import QueueError
from regulars.queues.transports.handover import BatchName, QueueRow

CONNECT_SECONDS = 10.0
CONFIRM_SECONDS = 30.0
"""Seconds to wait for the broker's confirm of one message (it answers in milliseconds)."""


class RabbitQueue:
    """Queues ``regulars.<channel>`` at an ``amqp://`` URL."""

    rows_per_handover: int | None = 500
    """Messages that may have to be published again after a crash: small, yet few ledger writes."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self._place = f"amqp://{parts.hostname}:{parts.port or 5672}{parts.path}"
        self._connection: Connection | None = None

    @contextmanager
    def open(self) -> Iterator["RabbitQueue"]:
        """Connect. Two exporters are kept apart by the run lease alone.

        Raises:
            QueueError: the broker cannot be reached or refuses the login.
        """
        connection = Connection(
            self._url,
            connect_timeout=CONNECT_SECONDS,
            transport_options={"confirm_publish": True},
        )
        try:
            connection.connect()
        except (KombuError, OSError, *connection.connection_errors) as error:
            raise self._failed("cannot be reached", error) from error
        try:
            self._connection = connection
            yield self
        finally:
            self._connection = None
            connection.release()

    def handed_over(self, batch: BatchName, message_ids: Sequence[str]) -> dict[str, datetime]:
        """Nothing: a broker does not tell what it was once given."""
        return {}

    def hand_over(self, batch: BatchName, rows: Sequence[QueueRow]) -> str:
        """Publish each row and wait for its confirm; returns the queue's name and place.

        Raises:
            QueueError: the broker refused or was lost; unconfirmed rows may have arrived.
        """
        connection = self._connection
        if connection is None:
            raise ValueError("the queue is not open")
        name = f"regulars.{batch.channel}"
        try:
            with connection.channel() as channel:
                queue = Queue(name, durable=True, channel=channel)
                queue.declare()
                producer = Producer(channel, routing_key=name, auto_declare=False)
                for row in rows:
                    producer.publish(
                        row.as_json(),
                        content_type="application/json",
                        content_encoding="utf-8",
                        delivery_mode="persistent",
                        message_id=row.message_id,
                        confirm_timeout=CONFIRM_SECONDS,
                        headers={"run_id": batch.run_id, "campaign": batch.campaign},
                    )
        except (
            KombuError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        ) as error:
            raise self._failed("did not take every message", error) from error
        return f"queue {name} on {self._place}"

    def _failed(self, what: str, error: BaseException) -> QueueError:
        return QueueError(
            f"RabbitMQ {what} ({type(error).__name__})",
            where=self._place,
            next_step="check broker, address and login, then run the night again; what is not "
            "confirmed leaves then",
        )

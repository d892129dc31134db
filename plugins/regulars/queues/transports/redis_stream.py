"""Redis: one stream per channel, and a hash per batch of what was handed over.

A portion enters stream and hash in one script, so within Redis a message enters once, also when an
export died before the ledger heard of it. That holds for as long as Redis keeps its data: with
``appendonly yes`` and ``appendfsync always`` over a power cut, else up to a second may be lost, and
what the ledger already counts as exported is then gone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from regulars.errors import QueueError
from regulars.queues.transports.handover import BatchName, QueueRow, instant_text

TIMEOUT_SECONDS = 10.0
MEMORY_DAYS = 90
"""Days for which a batch's hash is kept: longer than any night may wait for its repetition."""

_HAND_OVER = """
local taken = 0
for i = 1, #ARGV - 1, 3 do
    if redis.call('hsetnx', KEYS[1], ARGV[i], ARGV[i + 1]) == 1 then
        redis.call('xadd', KEYS[2], '*', 'message_id', ARGV[i], 'row', ARGV[i + 2])
        taken = taken + 1
    end
end
redis.call('expire', KEYS[1], ARGV[#ARGV])
return taken
"""


class RedisQueue:
    """Streams ``regulars:queue:{<channel>}`` at a ``redis://`` URL."""

    rows_per_handover: int | None = 500
    """Rows per script: a few milliseconds in which Redis serves nobody else."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self._place = f"redis://{parts.hostname}:{parts.port or 6379}{parts.path}"
        self._client: Redis | None = None

    @contextmanager
    def open(self) -> Iterator["RedisQueue"]:
        """Connect. Two exporters are kept apart by the run lease alone.

        Raises:
            QueueError: the server cannot be reached or refuses the login.
        """
        client = Redis.from_url(
            self._url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            decode_responses=True,
        )
        try:
            client.ping()
        except (RedisError, OSError) as error:
            client.close()
            raise self._failed("cannot be reached", error) from error
        try:
            self._client = client
            yield self
        finally:
            self._client = None
            client.close()

    def handed_over(self, batch: BatchName, message_ids: Sequence[str]) -> dict[str, datetime]:
        """Those of the messages that stand in the batch's hash.

        Raises:
            QueueError: the server was lost.
        """
        found: dict[str, datetime] = {}
        step = self.rows_per_handover or len(message_ids)
        for start in range(0, len(message_ids), step):
            ids = list(message_ids[start : start + step])
            for message_id, send_at in zip(ids, self._known(batch, ids), strict=True):
                if send_at is not None:
                    found[message_id] = datetime.fromisoformat(send_at)
        return found

    def hand_over(self, batch: BatchName, rows: Sequence[QueueRow]) -> str:
        """Append the rows that the batch does not hold yet; returns the stream's name and place.

        Raises:
            QueueError: the server was lost; the portion is in the stream as a whole or not at all.
        """
        stream = f"regulars:queue:{{{batch.channel}}}"
        arguments: list[str] = []
        for row in rows:
            arguments += [row.message_id, instant_text(row.send_at), row.as_json()]
        arguments.append(str(MEMORY_DAYS * 24 * 3600))
        try:
            self._open_client().eval(_HAND_OVER, 2, self._memory(batch), stream, *arguments)
        except (RedisError, OSError) as error:
            raise self._failed("did not take the messages", error) from error
        return f"stream {stream} on {self._place}"

    def _known(self, batch: BatchName, ids: list[str]) -> list[str | None]:
        try:
            answer: Any = self._open_client().hmget(self._memory(batch), ids)
        except (RedisError, OSError) as error:
            raise self._failed("cannot be read", error) from error
        return cast("list[str | None]", answer)

    def _memory(self, batch: BatchName) -> str:
        # The braces keep stream and memory on one node of a cluster.
        return f"regulars:handed:{{{batch.channel}}}:{batch.campaign}:{batch.run_id}"

    def _open_client(self) -> Redis:
        if self._client is None:
            raise ValueError("the queue is not open")
        return self._client

    def _failed(self, what: str, error: BaseException) -> QueueError:
        return QueueError(
            f"Redis {what} ({type(error).__name__})",
            where=self._place,
            next_step="check server, address and login, then run the night again",
        )

"""Where committed messages leave to, chosen by URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from regulars.errors import ConfigError
from regulars.queues.transports.file_queue import FileQueue
from regulars.queues.transports.handover import (
    BatchName,
    Outlet,
    QueueRow,
    Transport,
)

__all__ = ["BatchName", "FileQueue", "Outlet", "QueueRow", "Transport", "transport_for"]


def transport_for(url: str) -> Transport:
    """The transport behind ``settings.resolved_queue_url``.

    ``file:///folder`` (also relative), ``amqp://`` for RabbitMQ, ``redis://`` for Redis.

    Raises:
        ConfigError: no transport has this scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return FileQueue(Path(unquote(url.removeprefix("file://"))))
    # Imported when chosen: a night with files needs no broker's client.
    if scheme in ("amqp", "amqps"):
        from regulars.queues.transports.rabbitmq import RabbitQueue

        return RabbitQueue(url)
    if scheme in ("redis", "rediss"):
        from regulars.queues.transports.redis_stream import RedisQueue

        return RedisQueue(url)
    raise ConfigError(
        f"there is no queue for the scheme {scheme!r}",
        where="REGULARS_QUEUE_URL",
        next_step="leave it empty for files, or use amqp://user:password@host/ or redis://host/0",
    )

"""RabbitMQ and Redis, the real ones."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from kombu import Connection, Producer, Queue
from redis import Redis

from regulars.errors import ConfigError, QueueError
from regulars.queues import export_messages, transport_for
from regulars.queues.exit import Verdict
from regulars.queues.transports import BatchName, FileQueue, Transport
from regulars.queues.transports.handover import queue_row
from regulars.queues.transports.rabbitmq import RabbitQueue
from regulars.queues.transports.redis_stream import RedisQueue
from regulars.state import Decision, StateStore
from tests.queues.shop import NIGHT, campaign, rules
from tests.servers import RABBITMQ_URL
from tests.state.rows import DAY, PLANNED, held_out, member, proposal

RUN = "night-20171001"
COUNT = 12


def commit(state: StateStore, channel: str) -> set[str]:
    """Messages over ``channel``; their ids."""
    state.nights.open(DAY)
    rows = [proposal(number, channel=channel) for number in range(1, COUNT + 1)]
    state.commit_decisions(RUN, "gift", [*rows, held_out(99, channel=channel)], occurred_at=NIGHT)
    return {row["message_id"] for row in rows}


def export(state: StateStore, transport: Transport) -> tuple[int, int]:
    """(exported, recovered) of one export."""
    batches = export_messages(state, transport, run_id=RUN, now=NIGHT, rules=rules(campaign()))
    return sum(batch.exported for batch in batches), sum(batch.recovered for batch in batches)


def exported(state: StateStore) -> set[str]:
    members = [member(number) for number in range(1, COUNT + 1)]
    return {row.message_id for row in state.ledger.exported_to("demo", members, [], None)}


def taken_from_rabbitmq(channel: str) -> list[Any]:
    """Every message of the queue, taken off it."""
    messages = []
    with Connection(RABBITMQ_URL) as connection:
        queue = Queue(f"regulars.{channel}", channel=connection.default_channel)
        while (message := queue.get(no_ack=True)) is not None:
            messages.append(message)
    return messages


def in_redis(url: str, channel: str = "sms") -> list[dict[str, str]]:
    with Redis.from_url(url, decode_responses=True) as client:
        return [fields for _, fields in client.xrange(f"regulars:queue:{{{channel}}}")]


@contextmanager
def small_portions(kind: type, size: int = 5) -> Iterator[None]:
    with patch.object(kind, "rows_per_handover", size):
        yield


def test_the_url_chooses_the_transport() -> None:
    assert isinstance(transport_for("file:///srv/queues"), FileQueue)
    assert isinstance(transport_for("amqp://guest:guest@localhost//"), RabbitQueue)
    assert isinstance(transport_for("redis://localhost:6379/0"), RedisQueue)
    with pytest.raises(ConfigError, match="'kafka'"):
        transport_for("kafka://localhost")


@pytest.mark.parametrize(
    "url", ["amqp://user:hidden@127.0.0.1:1//", "redis://:hidden@127.0.0.1:1/0"]
)
def test_an_unreachable_broker_is_named_without_its_password(url: str) -> None:
    with pytest.raises(QueueError, match=r"127\.0\.0\.1:1") as caught, transport_for(url).open():
        pass
    assert "hidden" not in str(caught.value)


def test_rabbitmq_gets_each_message_once_and_durably(
    state: StateStore, rabbitmq_channel: str
) -> None:
    ids = commit(state, rabbitmq_channel)
    transport = transport_for(RABBITMQ_URL)
    with small_portions(RabbitQueue):
        assert export(state, transport) == (COUNT, 0)
        assert export(state, transport) == (0, 0)
    messages = taken_from_rabbitmq(rabbitmq_channel)
    assert Counter(message.properties["message_id"] for message in messages) == Counter(ids)
    for message in messages:
        row = json.loads(message.body)
        assert row["message_id"] == message.properties["message_id"]
        assert row["contact_ref"].startswith("tok_")
        assert message.properties["delivery_mode"] == 2
        assert message.content_type == "application/json"
        assert message.headers["run_id"] == RUN
    assert exported(state) == ids


def test_a_rabbitmq_queue_survives_the_broker(state: StateStore, rabbitmq_channel: str) -> None:
    commit(state, rabbitmq_channel)
    export(state, transport_for(RABBITMQ_URL))
    with Connection(RABBITMQ_URL) as connection:
        # Declaring it as anything but durable is refused by the broker.
        queue = Queue(f"regulars.{rabbitmq_channel}", durable=False)
        with pytest.raises(connection.channel_errors, match="durable"):
            queue.bind(connection.default_channel).declare()


def test_rabbitmq_lost_after_a_portion_repeats_nothing_that_was_recorded(
    state: StateStore, rabbitmq_channel: str
) -> None:
    ids = commit(state, rabbitmq_channel)
    real = Producer.publish
    published = 0

    def publish(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal published
        if published == 7:
            raise ConnectionResetError("gone")
        published += 1
        return real(self, *arguments, **named)

    transport = transport_for(RABBITMQ_URL)
    with small_portions(RabbitQueue):
        with (
            patch.object(Producer, "publish", publish),
            pytest.raises(QueueError, match="did not take every message"),
        ):
            export(state, transport)
        assert len(exported(state)) == 5
        assert export(state, transport) == (COUNT - 5, 0)
    messages = Counter(m.properties["message_id"] for m in taken_from_rabbitmq(rabbitmq_channel))
    assert set(messages) == ids
    # At least once: the two that were published but not recorded came again, under the same id.
    assert sorted(messages.values()) == [1] * (COUNT - 2) + [2, 2]


def killed_after(publications: int, transport: Transport, state: StateStore, name: str) -> None:
    """kill -9 an exporter right after a hand-over, before the ledger hears of it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        kind = type(transport)
        real = kind.hand_over  # type: ignore[attr-defined]
        done = 0

        def hand_over(self: Any, *arguments: Any) -> str:
            nonlocal done
            place = str(real(self, *arguments))
            done += 1
            if done == publications:
                os.write(write, b"now\n")
                signal.pause()
            return place

        with patch.object(kind, "hand_over", hand_over):
            export(state, transport)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.readline() == "now\n", name
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_rabbitmq_after_a_kill_gets_at_most_one_portion_again(
    state: StateStore, rabbitmq_channel: str
) -> None:
    ids = commit(state, rabbitmq_channel)
    transport = transport_for(RABBITMQ_URL)
    with small_portions(RabbitQueue):
        killed_after(2, transport, state, "rabbitmq")
        assert export(state, transport) == (COUNT - 5, 0)
    messages = Counter(m.properties["message_id"] for m in taken_from_rabbitmq(rabbitmq_channel))
    assert set(messages) == ids
    assert Counter(messages.values()) == {1: COUNT - 5, 2: 5}


def test_redis_gets_each_message_once(state: StateStore, redis_url: str) -> None:
    ids = commit(state, "sms")
    transport = transport_for(redis_url)
    with small_portions(RedisQueue):
        assert export(state, transport) == (COUNT, 0)
        assert export(state, transport) == (0, 0)
    entries = in_redis(redis_url)
    assert Counter(entry["message_id"] for entry in entries) == Counter(ids)
    assert all(json.loads(entry["row"])["message_id"] == entry["message_id"] for entry in entries)
    assert exported(state) == ids


def test_redis_takes_a_message_once_even_from_two_exporters(redis_url: str) -> None:
    decision = Decision(
        **{
            key: value
            for key, value in proposal(1).items()
            if key not in ("is_final", "as_of_date", "planned_at", "expires_at", "coupon_amount")
        },
        run_id=RUN,
        decided_on=DAY,
        planned_at=PLANNED,
        expires_at=PLANNED + timedelta(days=1),
        coupon_amount=None,
    )
    row = queue_row(Verdict(decision, PLANNED, PLANNED + timedelta(days=1), None))
    batch = BatchName(RUN, "gift", "sms")
    for _ in range(2):
        with transport_for(redis_url).open() as outlet:
            outlet.hand_over(batch, [row])
            assert outlet.handed_over(batch, [row.message_id, "0" * 32]) == {
                row.message_id: PLANNED
            }
    assert len(in_redis(redis_url)) == 1


def test_redis_forgets_a_batch_after_its_days(state: StateStore, redis_url: str) -> None:
    commit(state, "sms")
    export(state, transport_for(redis_url))
    with Redis.from_url(redis_url, decode_responses=True) as client:
        (memory,) = client.keys("regulars:handed:*")
        assert memory == f"regulars:handed:{{sms}}:gift:{RUN}"
        assert 89 * 24 * 3600 < client.ttl(memory) <= 90 * 24 * 3600
        assert client.hlen(memory) == COUNT


def test_redis_after_a_kill_has_each_message_once(state: StateStore, redis_url: str) -> None:
    ids = commit(state, "sms")
    transport = transport_for(redis_url)
    with small_portions(RedisQueue):
        killed_after(2, transport, state, "redis")
        assert len(exported(state)) == 5
        # What was handed over but not recorded is recognised, the rest leaves.
        assert export(state, transport) == (COUNT - 10, 5)
    assert Counter(entry["message_id"] for entry in in_redis(redis_url)) == Counter(ids)
    assert exported(state) == ids


def test_a_broker_never_hears_what_the_exit_kept_back(state: StateStore, redis_url: str) -> None:
    commit(state, "sms")
    stopped = rules(campaign(is_active=False))
    (batch,) = export_messages(
        state, transport_for(redis_url), run_id=RUN, now=NIGHT, rules=stopped
    )
    assert dict(batch.suppressed) == {"stopped": COUNT}
    assert in_redis(redis_url) == []

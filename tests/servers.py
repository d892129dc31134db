"""Real servers for tests: each test gets an empty place of its own, nothing is left behind.

A server that does not answer skips its tests by name. With REGULARS_REQUIRE_SERVERS=1 its absence
is a failure, so that a machine that should have them cannot pass without them.
"""

import os
import socket
from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

import psycopg
import pytest
from kombu import Connection
from redis import Redis

from regulars.sandbox.platforms.taobao_push import PushDatabase

POSTGRESQL_URL = os.environ.get(
    "REGULARS_TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/test"
)
RABBITMQ_URL = os.environ.get("REGULARS_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")
MARIADB_URL = os.environ.get("REGULARS_TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306")
REDIS_URL = os.environ.get("REGULARS_TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


def _require(name: str, url: str) -> None:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=2):
            return
    except OSError as error:
        message = f"{name} does not answer at {parts.hostname}:{parts.port} ({error})"
    if os.environ.get("REGULARS_REQUIRE_SERVERS") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.fixture(scope="session")
def postgresql_database() -> Iterator[str]:
    """URL of a new PostgreSQL database, dropped at the end of the session."""
    _require("PostgreSQL", POSTGRESQL_URL)
    name = f"regulars_test_{uuid4().hex[:12]}"
    with psycopg.connect(POSTGRESQL_URL, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    try:
        yield urlsplit(POSTGRESQL_URL)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(POSTGRESQL_URL, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def new_postgresql_url(postgresql_database: str) -> Callable[[], str]:
    """Makes URLs of new, empty PostgreSQL schemas."""
    numbers = count(1)

    def new_url() -> str:
        schema = f"s{next(numbers)}"
        with psycopg.connect(postgresql_database, autocommit=True) as connection:
            connection.execute(f"create schema {schema}")
        return f"{postgresql_database}?options={quote(f'-csearch_path={schema}')}"

    return new_url


@pytest.fixture
def postgresql_url(new_postgresql_url: Callable[[], str]) -> str:
    """URL of a new, empty PostgreSQL schema."""
    return new_postgresql_url()


@pytest.fixture
def rabbitmq_channel() -> Iterator[str]:
    """A channel name whose queue ``regulars.<name>`` is new; it is deleted afterwards."""
    _require("RabbitMQ", RABBITMQ_URL)
    name = f"test_{uuid4().hex[:12]}"
    try:
        yield name
    finally:
        with Connection(RABBITMQ_URL) as connection:
            connection.default_channel.queue_delete(f"regulars.{name}")


@pytest.fixture
def redis_url() -> Iterator[str]:
    """URL of an empty Redis database (number 15 of a shared server), emptied afterwards."""
    _require("Redis", REDIS_URL)
    with Redis.from_url(REDIS_URL) as client:
        client.flushdb()
        try:
            yield REDIS_URL
        finally:
            client.flushdb()


@pytest.fixture
def push_database() -> Iterator[PushDatabase]:
    """A new MariaDB database with the platform's two tables, dropped afterwards."""
    yield from new_push_database()


@pytest.fixture(scope="module")
def shared_push_database() -> Iterator[PushDatabase]:
    """The same for all tests of a module."""
    yield from new_push_database()


def new_push_database() -> Iterator[PushDatabase]:
    """Makes a database for Taobao's order push, and drops it."""
    _require("MariaDB", MARIADB_URL)
    parts = urlsplit(MARIADB_URL)
    database = PushDatabase(
        f"regulars_test_{uuid4().hex[:12]}",
        host=parts.hostname or "",
        port=parts.port or 3306,
        user=parts.username or "root",
        password=unquote(parts.password or ""),
    )
    try:
        database.create()
        yield database
    finally:
        database.drop()

"""Queue tests use the state fixtures: SQLite and a real PostgreSQL."""

from pathlib import Path

import pytest

from regulars.queues.transports import FileQueue
from tests.servers import (  # noqa: F401
    new_postgresql_url,
    postgresql_database,
    rabbitmq_channel,
    redis_url,
)
from tests.state.conftest import (  # noqa: F401
    clock,
    dialect,
    migrated_file,
    migrated_url,
    state,
    state_url,
)


@pytest.fixture
def queue_folder(tmp_path: Path) -> Path:
    return tmp_path / "queues"


@pytest.fixture
def file_queue(queue_folder: Path) -> FileQueue:
    return FileQueue(queue_folder)

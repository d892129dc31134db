"""A brand with messages in the ledger, and the service in front of it on a real socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.receiving.service import Office, Service, running


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


@pytest.fixture
def service(office: Office) -> Iterator[Service]:
    with running(office) as started:
        yield started

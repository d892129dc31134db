"""A shop with an empty landing folder and an open vault."""

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from regulars.credentials import Credentials
from regulars.records import Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import Vault, open_vault
from tests.sources.shops import demo_shop

KEY = Credentials("regulars_pii", password=secrets.token_hex(32))
DAY = date(2017, 10, 1)


class FixedClock:
    """A source's present that stands still."""

    def __init__(self, now: datetime = datetime(2017, 10, 1, 18, 0, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance_to(self, instant: datetime) -> None:
        self._now = max(self._now, instant)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def shop() -> Shop:
    return demo_shop()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def window(shop: Shop) -> Window:
    return Window(shop.day_start(DAY), shop.day_end(DAY))


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    with open_vault(settings.vault_path, KEY) as opened:
        yield opened

"""A small installation of its own: sandbox shop, configuration, data folder, and its nights.

Everything is real but small: the real order book cut to a few households, served by the real
sandbox over HTTP, landed, built by dbt, checked by Great Expectations, decided and exported.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path

import yaml

from regulars.credentials import Credentials
from regulars.night.steps import Night
from regulars.night.whole import run_whole_night
from regulars.sandbox.book import OrderBook
from regulars.sandbox.server import SandboxServer
from regulars.settings import PROJECT_ROOT, Settings
from regulars.warehouse.publish import read_publication

FIRST_NIGHT = date(2017, 10, 1)
PII_KEY = base64.b64encode(bytes(range(32))).decode()


class World:
    """One installation below ``root``."""

    def __init__(self, root: Path, sandbox: SandboxServer, shops: tuple[str, ...]) -> None:
        self.root = root
        self.sandbox = sandbox
        self.settings = Settings(
            data_dir=root / "data",
            config_dir=root / "config",
            clock_url=sandbox.clock_url,
            warehouse_lock_seconds=5,
        )
        self.credentials = {
            "regulars_pii": Credentials("regulars_pii", password=PII_KEY),
            "regulars_demo_grocer": Credentials(
                "regulars_demo_grocer",
                host=sandbox.router_url,
                login=sandbox.access.app_key,
                password=sandbox.access.app_secret,
                extra={"session": sandbox.access.session},
            ),
        }
        self._write_config(shops)

    def _write_config(self, shops: tuple[str, ...]) -> None:
        shutil.copytree(PROJECT_ROOT / "config", self.settings.config_dir)
        document = yaml.safe_load((self.settings.config_dir / "shops.yml").read_text())
        template = document["shops"][0]
        document["shops"] = [{**template, "shop": shop} for shop in shops]
        (self.settings.config_dir / "shops.yml").write_text(
            yaml.safe_dump(document, allow_unicode=True), encoding="utf-8"
        )

    def find_credentials(self, connection_id: str) -> Credentials:
        """The credentials provider of this installation."""
        return self.credentials[connection_id]

    def night(self, holder: str = "test", pid: int | None = None) -> Night:
        """A fresh handle, as a new process would have it."""
        return Night(self.settings, self.find_credentials, holder=holder, pid=pid)

    def run(self, day: date | None = None, holder: str = "test") -> str:
        """Run one whole night; its run id."""
        return run_whole_night(self.night(holder), day)

    def run_nights(self, count: int, first: date = FIRST_NIGHT) -> None:
        """Run nights one after another."""
        for number in range(count):
            self.run(first + timedelta(days=number))

    @property
    def digest(self) -> str:
        """Digest of what is published."""
        publication = read_publication(self.settings)
        assert publication is not None
        return publication.digest

    def queued(self) -> list[dict[str, object]]:
        """Every row of every file in the send queue."""
        rows = []
        for path in sorted(self.settings.queues_dir.rglob("*.ndjson")):
            rows += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return rows


@contextmanager
def open_world(
    root: Path,
    *,
    households: int = 12,
    shops: tuple[str, ...] = ("demo_grocer",),
    book: OrderBook | None = None,
) -> Iterator[World]:
    """A world with one served shop (the first of ``shops``)."""
    book = book or OrderBook.sample(households=households)
    with ExitStack() as stack:
        sandbox = stack.enter_context(
            SandboxServer(
                book,
                check_timestamp=False,
                inbox=root / "data" / "inbox",
                shop_code=shops[0] if shops else "demo_grocer",
            )
        )
        yield World(root, sandbox, shops)

"""A MariaDB of its own that goes down, or dies, while it is read."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from regulars.errors import ConfigError
from regulars.sandbox.platforms.taobao_push import PushDatabase
from regulars.sources.taobao_rds.client import PushTable, RdsClient
from tests.sources.push import access_to, push_trades, trade_row

pytestmark = pytest.mark.slow

TRADES = PushTable("jdp_tb_trade", "tid")
COUNT = 3_000


class Server:
    """One MariaDB below a folder, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={folder}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            [
                shutil.which("mariadbd") or "/usr/sbin/mariadbd",
                "--no-defaults",
                *(["--user=root"] if os.geteuid() == 0 else []),
                f"--datadir={self._folder}",
                f"--socket={self._folder}/socket",
                f"--pid-file={self._folder}/pid",
                f"--port={self.port}",
                "--bind-address=127.0.0.1",
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=16M",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr
        # It says so; nothing is waited for by the clock.
        for line in self._process.stderr:
            if "ready for connections" in line:
                return
        pytest.fail("MariaDB did not start")

    def stop(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        self._process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("mariadb-install-db") is None:
        message = "MariaDB is not installed"
        if os.environ.get("REGULARS_REQUIRE_SERVERS") == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    made = Server(tmp_path_factory.mktemp("mariadb"))
    made.start()
    yield made
    made.stop(signal.SIGTERM)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_in_the_middle_loses_and_repeats_nothing(
    server: Server, how: signal.Signals
) -> None:
    database = PushDatabase(f"push_{how.name.lower()}", port=server.port)
    database.create()
    at = [f"2017-10-01 12:00:{n % 4:02d}" for n in range(COUNT)]
    push_trades(database, [trade_row(n + 1, "x" * 8_000, at[n]) for n in range(COUNT)])
    waits: list[float] = []

    def restart(seconds: float) -> None:
        waits.append(seconds)
        # Still down at the first attempts.
        if len(waits) == 3:
            server.start()

    client = RdsClient(access_to(database), sleep=restart, page_rows=1_000)
    with closing(client):
        reading = client.rows(TRADES, "2017-10-01 00:00:00", "2017-10-02 00:00:00")
        seen = [row.key for row in islice(reading, 1_200)]
        server.stop(how)
        with pytest.raises(ConfigError):
            database.connect()
        seen += [row.key for row in reading]
    assert waits == [1.0, 2.0, 4.0]
    assert sorted(seen, key=int) == [str(n + 1) for n in range(COUNT)]

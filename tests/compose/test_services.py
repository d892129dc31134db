"""The entrypoints of the Compose file, run natively against a real PostgreSQL.

Environment and health checks are taken from the file itself; only addresses, ports and folders
are those of this machine.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import pytest

from regulars.state.migrations import STEPS
from tests.compose.composition import ROOT, composition
from tests.servers import POSTGRESQL_URL, RABBITMQ_URL, postgresql_database  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

PASSWORD = "correct horse"
ROUNDS = 90
"""Health checks, a second apart, before a service counts as failed."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Host:
    """This machine in place of the containers."""

    def __init__(self, folder: Path, state_url: str) -> None:
        self.folder = folder
        self.ports = {8080: free_port(), 8974: free_port(), 8790: free_port()}
        self.airflow_database = f"airflow_{uuid4().hex[:12]}"
        server = urlsplit(state_url)
        self._places = {
            "postgresql://regulars:pg@postgres:5432/regulars": state_url,
            "postgresql+psycopg2://regulars:pg@postgres:5432/airflow": server._replace(
                scheme="postgresql+psycopg2", path=f"/{self.airflow_database}"
            ).geturl(),
            "amqp://regulars:mq@rabbitmq:5672//": RABBITMQ_URL,
            "//api-server:": "//127.0.0.1:",
            "0.0.0.0": "127.0.0.1",  # noqa: S104
            "/var/lib/regulars": str(folder),
            "/srv/regulars": str(ROOT),
        }
        self.services = composition({"POSTGRES_PASSWORD": "pg", "RABBITMQ_PASSWORD": "mq"})[
            "services"
        ]

    def here(self, text: str) -> str:
        """A word of the file, for this machine."""
        for there, here in self._places.items():
            text = text.replace(there, here)
        for there, here in self.ports.items():
            text = text.replace(f":{there}", f":{here}")
        return str(self.ports[8080]) if text == "8080" else text

    def environment(self, service: str) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "REGULARS"))
        }
        own = self.services[service]["environment"]
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # Stands in for .env.
            "AIRFLOW_ADMIN_PASSWORD": PASSWORD,
            "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 64,
            "AIRFLOW__API__SECRET_KEY": "s" * 32,
            "REGULARS_SANDBOX_APP_SECRET": "secret",
            "REGULARS_SANDBOX_SESSION": "session",
            "REGULARS_SANDBOX_PORT": str(self.ports[8790]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.ports[8974]),
            **{name: self.here(str(value)) for name, value in own.items()},
        }

    def entrypoint(self, service: str) -> list[str]:
        return [str(ROOT / "docker" / "entrypoint.sh"), *self.services[service]["command"]]

    def health_check(self, service: str) -> list[str]:
        _, *words = self.services[service]["healthcheck"]["test"]
        return [self.here(word) for word in words]

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_database: str,  # noqa: F811
) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"), postgresql_database)
    server = urlsplit(postgresql_database)
    subprocess.run(
        [str(ROOT / "docker" / "postgres" / "create-airflow-database.sh")],
        env={
            **os.environ,
            "PGHOST": str(server.hostname),
            "PGPORT": str(server.port),
            "PGPASSWORD": server.password or "",
            "POSTGRES_USER": str(server.username),
            "POSTGRES_DB": server.path.removeprefix("/"),
            "AIRFLOW_DATABASE": host.airflow_database,
        },
        check=True,
    )
    yield host
    with psycopg.connect(POSTGRESQL_URL, autocommit=True) as connection:
        connection.execute(f"drop database {host.airflow_database} with (force)")


def start(host: Host, service: str) -> "subprocess.Popen[bytes]":
    with host.log(service).open("wb") as log:
        return subprocess.Popen(
            host.entrypoint(service),
            env=host.environment(service),
            cwd=host.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_until_healthy(host: Host, service: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(ROUNDS):
        check = subprocess.run(
            host.health_check(service),
            env=host.environment(service),
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if check.returncode == 0:
            return
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"{service} is not healthy:\n{host.log(service).read_text()[-3000:]}")


def stop(process: "subprocess.Popen[bytes]") -> int | None:
    """SIGTERM to the process alone, as Compose does; its exit code, None when it was killed."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def test_services_become_healthy_and_stop_when_asked(host: Host) -> None:
    prepared = subprocess.run(
        host.entrypoint("prepare"),
        env=host.environment("prepare"),
        cwd=host.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, prepared.stdout[-2000:] + prepared.stderr[-2000:]
    environment = host.environment("prepare")
    with psycopg.connect(environment["REGULARS_STATE_URL"]) as connection:
        applied = connection.execute("select count(*) from schema_version").fetchone()
    assert applied == (len(STEPS),)
    airflow_url = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    with psycopg.connect(airflow_url) as connection:
        slots = connection.execute("select slots from slot_pool where pool = 'warehouse'")
        assert slots.fetchone() == (1,)

    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for service in ("api-server", "scheduler", "dag-processor", "sandbox"):
            running[service] = start(host, service)
        for service, process in running.items():
            wait_until_healthy(host, service, process)
        assert login(host, PASSWORD)
        with psycopg.connect(airflow_url) as connection:
            dags = connection.execute("select dag_id from dag").fetchall()
        assert ("run_night",) in dags
    finally:
        codes = {service: stop(process) for service, process in running.items()}
    assert None not in codes.values(), codes


def login(host: Host, password: str) -> bool:
    """Whether the UI lets the admin in."""
    request = Request(
        f"http://127.0.0.1:{host.ports[8080]}/auth/token",
        data=json.dumps({"username": "admin", "password": password}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        return bool(json.load(answer)["access_token"])

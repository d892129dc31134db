"""config/receiving.yml, the Connections behind it, and the command that serves it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from regulars.credentials import Credentials
from regulars.errors import ConfigError, VaultKeyError
from regulars.receiving.config import load_receiving, open_endpoints
from regulars.receiving.server import build_app
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import load_shops
from tests.receiving.service import DELIVERED_AT, PII, SHOPS, Office, aliyun, aliyun_reply

ENDPOINT = """
endpoints:
  - endpoint: aliyun_demo
    provider: aliyun_sms
    brand: demo
    shop: grocer
    connection: regulars_receive_aliyun
    networks: [203.0.113.0/24]
"""
SECRET = "0123456789abcdef01234567"


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "receiving.yml").write_text(text, encoding="utf-8")
    return folder


def test_the_shipped_file_fits_and_receives_nothing() -> None:
    config = PROJECT_ROOT / "config"
    found = load_receiving(config, load_shops(config / "shops.yml"))
    assert found.endpoints == ()
    assert found.rules.refusing_word("Ｒ") == "R"
    assert found.rules.refusing_word("很好，下次再买") is None
    assert found.rules.is_machine("Mozilla/5.0 (via ggpht.com GoogleImageProxy)")
    assert not found.rules.is_machine("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)")


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("aliyun_sms", "fax", 4, "there is no such provider, only aliyun_sms, events, tencent_sms"),
        ("demo", "nobody", 3, "there is no such brand"),
        ("grocer", "butcher", 6, "brand demo has no such shop, only bakery, grocer"),
        ("203.0.113.0/24", "somewhere", 8, "not a valid"),
        ("networks", "network", 8, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, what: str
) -> None:
    text = ENDPOINT.replace(f"brand: {old}" if old == "demo" else old,
                            f"brand: {new}" if old == "demo" else new)  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        load_receiving(write(tmp_path, text), SHOPS)
    assert what in str(caught.value)
    assert f"receiving.yml:{line if old != 'demo' else 5}" in caught.value.where


def test_a_name_stands_once(tmp_path: Path) -> None:
    twice = ENDPOINT + ENDPOINT.partition("endpoints:")[2]
    with pytest.raises(ConfigError, match="listed twice"):
        load_receiving(write(tmp_path, twice), SHOPS)


@pytest.mark.parametrize("secret", ["", SECRET[:23], f"{SECRET}/", f"{SECRET}é", f"{SECRET} "])
def test_a_secret_that_can_be_guessed_or_stands_in_no_path_is_refused(
    tmp_path: Path, secret: str
) -> None:
    found = load_receiving(write(tmp_path, ENDPOINT), SHOPS)
    with pytest.raises(ConfigError) as caught:
        open_endpoints(found, lambda name: Credentials(name, password=secret))
    assert "regulars_receive_aliyun" in caught.value.where
    assert not secret or secret not in str(caught.value)


def test_two_endpoints_share_no_secret_and_none_is_shown(tmp_path: Path) -> None:
    second = ENDPOINT.partition("endpoints:")[2].replace("aliyun_demo", "again")
    found = load_receiving(write(tmp_path, ENDPOINT + second), SHOPS)
    with pytest.raises(ConfigError, match="another endpoint has the same secret"):
        open_endpoints(found, lambda name: Credentials(name, password=SECRET))
    one = load_receiving(write(tmp_path, ENDPOINT), SHOPS)
    (endpoint,) = open_endpoints(
        one, lambda name: Credentials(name, password=SECRET, extra={"signing_key": "secret-key"})
    )
    assert endpoint.signing_key == "secret-key"
    assert SECRET not in repr(endpoint)
    assert "secret-key" not in repr(endpoint)


def installation(root: Path, text: str) -> Settings:
    settings = Settings(data_dir=root / "data", config_dir=root / "config")
    write(settings.config_dir, text)
    shops = json.dumps(SHOPS.model_dump(mode="json", exclude_none=True))
    (settings.config_dir / "shops.yml").write_text(shops, encoding="utf-8")
    return settings


def credentials(name: str) -> Credentials:
    return PII if name == "regulars_pii" else Credentials(name, password=SECRET)


def test_it_does_not_start_without_anything_to_receive(tmp_path: Path) -> None:
    settings = installation(tmp_path, "endpoints: []\n")
    with pytest.raises(ConfigError, match="nothing to receive"):
        build_app(settings, credentials)
    installation(tmp_path, "public_url: https://receive.example.com\n")
    build_app(settings, credentials)


def test_it_does_not_start_with_another_key_than_the_vaults(tmp_path: Path) -> None:
    settings = installation(tmp_path, ENDPOINT)
    build_app(settings, credentials)
    with pytest.raises(VaultKeyError):
        build_app(settings, lambda name: Credentials(name, password="cd" * 32))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.slow
def test_the_command_serves_with_several_processes(tmp_path: Path) -> None:
    office = Office(tmp_path)
    (message_id,) = office.send(1)
    installation(tmp_path, ENDPOINT.replace("203.0.113.0/24", "127.0.0.0/8"))
    port = free_port()
    environment = {
        **os.environ,
        "REGULARS_DATA_DIR": str(office.settings.data_dir),
        "REGULARS_CONFIG_DIR": str(office.settings.config_dir),
        "REGULARS_CLOCK_URL": "",
        "PYTHONPATH": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW_CONN_REGULARS_PII": json.dumps({"password": PII.password}),
        "AIRFLOW_CONN_REGULARS_RECEIVE_ALIYUN": json.dumps({"password": SECRET}),
    }
    command = [sys.executable, "-m", "regulars.cli", "receive", "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--workers", "2"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    try:
        # The transport waits between its attempts to connect, so nobody has to sleep here.
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, transport=httpx.HTTPTransport(retries=8)) as client:
            assert client.get("/health", timeout=60).status_code == 200
            body = json.dumps([aliyun(message_id), aliyun_reply("R")])
            for _ in range(4):
                answer = client.post(
                    f"/receipts/aliyun_sms/{SECRET}",
                    content=body,
                    headers={"Content-Type": "application/json", "Connection": "close"},
                    timeout=60,
                )
                assert (answer.status_code, answer.json()["code"]) == (200, 0)
    finally:
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=30)
    assert "aliyun_demo: 2 landed, 0 quarantined, 1 new refusals" in said
    assert SECRET not in said
    assert "13800000001" not in said
    (record,) = [one for one in office.landed() if one["event"] == "delivered"]
    assert record["occurred_at"] == f"{DELIVERED_AT}+08:00"
    assert len(office.batches) == 1

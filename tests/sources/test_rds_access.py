"""The push database's Connection."""

from pathlib import Path

import pytest

from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.sources.taobao_rds.access import rds_access


def connection(host: str = "db.test", login: str = "reader", **extra: str) -> Credentials:
    whole = {"seller_nick": "demo_grocer", **extra}
    return Credentials("shop", host=host, login=login, password="the-password", extra=whole)


def test_what_is_not_said_is_the_platforms_usual() -> None:
    access = rds_access(connection())
    assert (access.host, access.port, access.database) == ("db.test", 3306, "sys_info")
    assert access.ca_file == ""


@pytest.mark.parametrize(
    ("host", "extra", "expected"),
    [
        ("db.test:3307", {}, ("db.test", 3307)),
        ("db.test", {"port": "3308"}, ("db.test", 3308)),
        ("db.test:3307", {"port": "3308"}, ("db.test", 3307)),
        ("/run/db.sock", {}, ("/run/db.sock", 3306)),
    ],
)
def test_the_port_may_stand_behind_the_host(
    host: str, extra: dict[str, str], expected: tuple[str, int]
) -> None:
    access = rds_access(connection(host, **extra))
    assert (access.host, access.port) == expected


@pytest.mark.parametrize(
    ("credentials", "missing"),
    [
        (connection(host=""), "host"),
        (connection(host=":3306"), "host"),
        (connection(login=""), "login"),
        (connection(seller_nick=" "), r"extra\.seller_nick"),
        (connection(host="db.test:http"), "port"),
        (connection(port="0"), "port"),
        (connection(port="70000"), "port"),
        (connection(ca_file="/nowhere/ca.pem"), r"extra\.ca_file"),
    ],
)
def test_what_is_missing_is_named(credentials: Credentials, missing: str) -> None:
    with pytest.raises(ConfigError, match=missing) as caught:
        rds_access(credentials)
    assert caught.value.where == "connection shop"
    assert "the-password" not in str(caught.value)


def test_no_password_is_shown() -> None:
    assert "the-password" not in repr(rds_access(connection()))


def test_certificates_may_be_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    assert rds_access(connection(ca_file=str(file))).ca_file == str(file)

"""How the push database is reached, read from a Connection."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from regulars.credentials import Credentials
from regulars.errors import ConfigError

DEFAULT_DATABASE = "sys_info"
DEFAULT_PORT = 3306

_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class RdsAccess:
    """One push database and the seller whose rows are read; ``repr`` shows no password.

    Attributes:
        host: name or address; the path of a socket when it begins with ``/``.
        seller_nick: whose rows are read: several sellers may share one database.
        ca_file: certificates that the server is checked against; empty for an unencrypted
            connection, as inside the platform's own network.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    seller_nick: str
    ca_file: str = ""


def rds_access(credentials: Credentials) -> RdsAccess:
    """Read a Connection: host (``name`` or ``name:port``), login, password, extra.

    ``extra.seller_nick`` is the shop's name at the platform; ``extra.database`` is ``sys_info``
    unless said otherwise, ``extra.port`` 3306; ``extra.ca_file`` switches TLS on.

    Raises:
        ConfigError: a part is missing or malformed; no value is shown.
    """
    extra = credentials.extra
    host, port = _host_and_port(credentials.host.strip(), extra.get("port", "").strip())
    parts = {
        "host (of the push database)": host,
        "login (database user)": credentials.login,
        "extra.seller_nick (the shop's name at the platform)": extra.get("seller_nick", "").strip(),
    }
    for name, value in parts.items():
        if not value:
            raise _incomplete(f"{name} is missing", credentials)
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise _incomplete("the port is not a number from 1 to 65535", credentials)
    ca_file = extra.get("ca_file", "").strip()
    if ca_file and not Path(ca_file).is_file():
        raise _incomplete("extra.ca_file names no file", credentials)
    return RdsAccess(
        host=host,
        port=int(port),
        user=credentials.login,
        password=credentials.password,
        database=extra.get("database", "").strip() or DEFAULT_DATABASE,
        seller_nick=extra["seller_nick"].strip(),
        ca_file=ca_file,
    )


def _host_and_port(host: str, port: str) -> tuple[str, str]:
    is_named = ":" in host and not host.startswith("/")
    name, _, written = host.rpartition(":") if is_named else (host, "", "")
    return name, written or port or str(DEFAULT_PORT)


def _incomplete(what: str, credentials: Credentials) -> ConfigError:
    return ConfigError(
        what,
        where=f"connection {credentials.connection_id}",
        next_step="complete the Airflow Connection (docs/reference/platforms/taobao_rds.md)",
    )

"""Credentials of sources and keys, as the rest of the package sees them.

Under Airflow they come from Connections (``regulars.orchestration.connections``). Without Airflow
the same Connections are read from their environment variables, ``AIRFLOW_CONN_<ID>`` in JSON.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from regulars.errors import ConfigError


@dataclass(frozen=True)
class Credentials:
    """One connection. ``repr`` shows neither password nor extra."""

    connection_id: str
    host: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    extra: dict[str, str] = field(default_factory=dict, repr=False)


CredentialsProvider = Callable[[str], Credentials]


def credentials_from_environment(connection_id: str) -> Credentials:
    """Read ``AIRFLOW_CONN_<ID>`` (JSON form).

    Raises:
        ConfigError: the variable is missing or is not a JSON object; its value is never shown.
    """
    name = f"AIRFLOW_CONN_{connection_id.upper()}"
    text = os.environ.get(name, "")
    try:
        value = json.loads(text) if text else None
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError(
            f"the connection {connection_id!r} is {'malformed' if text else 'missing'}",
            where=name,
            next_step="define the Airflow Connection (JSON form; see .env.example)",
        )
    extra = value.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    return Credentials(
        connection_id=connection_id,
        host=str(value.get("host") or ""),
        login=str(value.get("login") or ""),
        password=str(value.get("password") or ""),
        extra={str(key): str(item) for key, item in extra.items()},
    )

"""Airflow Connections as credentials."""

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowRuntimeError

from regulars.credentials import Credentials
from regulars.errors import ConfigError


def credentials_from_connection(connection_id: str) -> Credentials:
    """Credentials from the Airflow Connection of this id (environment, backend or database).

    Raises:
        ConfigError: there is none.
    """
    try:
        found = Connection.get(connection_id)
    except AirflowRuntimeError as error:
        raise ConfigError(
            f"the Airflow Connection {connection_id!r} is missing",
            where="Airflow Connections",
            next_step="define it (AIRFLOW_CONN_… in .env, or a secrets backend)",
        ) from error
    return Credentials(
        connection_id=connection_id,
        host=found.host or "",
        login=found.login or "",
        password=found.password or "",
        extra={str(key): str(value) for key, value in (found.extra_dejson or {}).items()},
    )

"""Real DAGs in a throwaway Airflow."""

import json
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def airflow_database():
    """A migrated metadata database with the pool."""
    from regulars.orchestration import local

    local.prepare_database(Path(os.environ["AIRFLOW_HOME"]))


@pytest.fixture
def installation(monkeypatch):
    """Point this process at a world's settings and connections."""
    from regulars.orchestration import nights
    from regulars.settings import current_settings

    def point(world):
        for name in ("data_dir", "config_dir", "expectations_dir", "clock_url"):
            monkeypatch.setenv(f"REGULARS_{name.upper()}", str(getattr(world.settings, name)))
        monkeypatch.setenv("REGULARS_EXTRACT_RETRIES", "0")
        for connection in world.credentials.values():
            monkeypatch.setenv(
                f"AIRFLOW_CONN_{connection.connection_id.upper()}",
                json.dumps(
                    {
                        "conn_type": "http",
                        "host": connection.host,
                        "login": connection.login,
                        "password": connection.password,
                        "extra": connection.extra,
                    }
                ),
            )
        current_settings.cache_clear()
        nights._shops.cache_clear()

    yield point
    current_settings.cache_clear()
    nights._shops.cache_clear()

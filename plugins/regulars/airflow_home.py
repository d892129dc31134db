"""The environment under which Airflow runs in this project: set before Airflow is imported."""

import os
import sys
from pathlib import Path

from dotenv import load_dotenv

from regulars.settings import PROJECT_ROOT

DEFAULT_PORT = 8080


def load_environment() -> None:
    """Read .env; what the environment already says wins."""
    load_dotenv(PROJECT_ROOT / ".env", override=False)


def airflow_environment() -> dict[str, str]:
    """Airflow's settings for a run on this machine; what the environment already says wins."""
    home = Path(os.environ.get("AIRFLOW_HOME", PROJECT_ROOT / ".airflow"))
    port = os.environ.get("AIRFLOW__API__PORT", str(DEFAULT_PORT))
    defaults = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # The default of 32 forks 32 workers of 135 MB each.
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
        "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "10",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    return {name: os.environ.get(name, value) for name, value in defaults.items()}


def apply_airflow_environment() -> Path:
    """Put :func:`airflow_environment` into this process; Airflow's home folder."""
    os.environ.update(airflow_environment())
    # Airflow starts its services as `airflow`, which need not be on a bare machine's path.
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    if folder not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([folder, path])
    # With this set, every process compiles Airflow anew: 11 s instead of 3 s.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return Path(os.environ["AIRFLOW_HOME"])

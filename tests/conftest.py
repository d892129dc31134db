"""What every test stands on."""

import os
import tempfile
from pathlib import Path

import pytest

from regulars.airflow_home import airflow_environment
from regulars.settings import PROJECT_ROOT

# A throwaway Airflow; its environment must stand before anything imports it.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="regulars-airflow-")
os.environ.update(airflow_environment())

LONGEST = (
    "tests/e2e/test_nights.py",
    "tests/dags/test_nights.py",
    "tests/dbt/test_members_nights.py",
    "tests/dbt/test_nights.py",
    "tests/dbt/test_models.py",
    "tests/e2e/test_toy_platform.py",
    "tests/dags/test_erase_person.py",
    "tests/dbt/test_words_nights.py",
    "tests/dbt/test_toy_platform.py",
    "tests/dbt/test_identifiers.py",
    "tests/dbt/test_order_events_nights.py",
    "tests/compose/test_services.py",
    "tests/e2e/test_push_database.py",
    "tests/night/test_seeds.py",
    "tests/warehouse/test_session.py",
)
"""Files of more than 20 seconds, the longest first."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that no process is left with one of them at the end.

    The processes of ``make test`` take whole files in this order; by themselves they would begin
    with those of the most tests, and the longest have few.
    """
    rank = {PROJECT_ROOT / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(Path(item.path), len(rank)))

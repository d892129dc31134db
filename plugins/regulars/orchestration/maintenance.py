"""What ``dags/maintain_warehouse.py`` is wired from."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context

from regulars.night.maintenance import Maintenance
from regulars.settings import current_settings

MAINTAIN_WAREHOUSE_DOC = (
    Path(__file__).with_name("maintain_warehouse.md").read_text(encoding="utf-8")
)

SCHEDULE = "0 12 3 * *"
"""Noon of the third, in the zone of the night's schedule: every night of the month has ended."""

# A night that runs long holds the lease; it has ended some hours later.
MAINTAIN_ARGS: dict[str, Any] = {"retries": 6, "retry_delay": timedelta(hours=1)}

PARTS = ("compact_landing", "prune_raw", "shrink_warehouse", "remove_leftovers")
"""Methods of :class:`regulars.night.maintenance.Maintenance`, in order."""


def maintain(part: str) -> None:
    """Do one part of the maintenance."""
    context = get_current_context()
    holder = f"Airflow run {context['run_id']}"
    getattr(Maintenance(current_settings(), holder=holder), part)()

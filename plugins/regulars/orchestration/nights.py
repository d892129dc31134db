"""What ``dags/run_night.py``, ``replay_night.py`` and ``backfill_landing.py`` are wired from."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, CronDataIntervalTimetable, get_current_context
from airflow.sdk.exceptions import AirflowFailException

from regulars.errors import LASTING, NightError, RegularsError
from regulars.night import backfill, calendar, replay
from regulars.night.steps import SUBJECTS as BUILD_SUBJECTS
from regulars.night.steps import Night
from regulars.orchestration.connections import credentials_from_connection
from regulars.progress import report
from regulars.settings import current_settings
from regulars.shops import ShopsFile, load_shops

POOL = "warehouse"
"""One slot. The law is the OS file lock; the pool only saves waiting."""

SUBJECTS = tuple(BUILD_SUBJECTS)
MARTS = Asset("regulars://marts/current")

DEFAULT_ARGS: dict[str, Any] = {"owner": "data", "depends_on_past": False, "retries": 0}

# Sources may be away for minutes; `regulars nightly` sets 0, because somebody is waiting there.
EXTRACT_ARGS: dict[str, Any] = {
    "retries": current_settings().extract_retries,
    "retry_delay": timedelta(minutes=5),
}


def _doc(dag_id: str) -> str:
    return Path(__file__).with_name(f"{dag_id}.md").read_text(encoding="utf-8")


RUN_NIGHT_DOC = _doc("run_night")
REPLAY_NIGHT_DOC = _doc("replay_night")
BACKFILL_LANDING_DOC = _doc("backfill_landing")


@cache
def _shops() -> ShopsFile:
    return load_shops(current_settings().shops_path)


def calendar_zone() -> ZoneInfo:
    """Zone in which the night's schedule fires."""
    return calendar.calendar_zone(_shops())


def night_timetable() -> CronDataIntervalTimetable:
    """One interval per business date, ending when its night may run."""
    return CronDataIntervalTimetable(calendar.night_cron(_shops()), timezone=str(calendar_zone()))


def _night(context: Mapping[str, Any]) -> Night:
    # The attempt's process when it runs the whole night; under the scheduler there is none, and
    # only silence tells that a night is dead.
    pid = os.environ.get("REGULARS_LEASE_PID")
    holder = f"Airflow run {context['run_id']}" + (f" (pid {pid})" if pid else "")
    return Night(
        current_settings(),
        credentials_from_connection,
        holder=holder,
        pid=int(pid) if pid else None,
    )


def open_night() -> str:
    """Open the night of this run; its run id. The date is decided here, once."""
    context: dict[str, Any] = dict(get_current_context())
    wanted = str(context["params"].get("date") or "")
    day = calendar.parse_date(wanted) if wanted else None
    start = getattr(context["dag_run"], "data_interval_start", None)
    scheduled = calendar.business_date(start, calendar_zone()) if start else None
    try:
        return _night(context).open_night(day, scheduled=scheduled)
    except RegularsError as error:
        report(f"✗ open_night: {error}")
        raise


def list_shops(night: str) -> list[str]:
    """Codes of the shops to extract; empty for a repeated night."""
    return _night(dict(get_current_context())).list_shops(night)


def step(name: str, night: str) -> None:
    """Run one step of the night (its run id): a method of :class:`regulars.night.steps.Night`."""
    getattr(_night(dict(get_current_context())), name)(night)


@contextmanager
def _repeated_only_if_it_helps() -> Iterator[None]:
    """Fail for good, without the task's retries, with what a retry finds just the same.

    Raises:
        AirflowFailException: instead of the error; with its text.
    """
    try:
        yield
    except LASTING as error:
        raise AirflowFailException(str(error)) from error


def extract_shop(night: str, shop: str) -> None:
    """Extract one shop of the night (its run id)."""
    with _repeated_only_if_it_helps():
        _night(dict(get_current_context())).extract_shop(night, shop)


def replay_night() -> str:
    """Replay the night of the run's ``date``; what was found.

    Raises:
        NightError: the digests differ.
    """
    date = str(get_current_context()["params"]["date"])
    outcome = replay.replay_night(current_settings(), credentials_from_connection, date)
    if not outcome.is_equal:
        raise NightError(
            outcome.line,
            where=outcome.run_id,
            next_step="check out the commit of the run's manifest and replay there",
        )
    return outcome.line


def list_spans() -> list[str]:
    """Spans that the run's range of days is landed in, oldest first."""
    params = get_current_context()["params"]
    spans = backfill.spans_between(
        current_settings(), str(params["shop"]), str(params["first"]), str(params["last"])
    )
    return [str(days) for days in spans]


def land_span(days: str) -> str:
    """Land one span of days of the run's shop; a line that says what."""
    params = get_current_context()["params"]
    with _repeated_only_if_it_helps():
        return backfill.backfill_span(
            current_settings(),
            credentials_from_connection,
            str(params["shop"]),
            backfill.Days.parse(days),
            again=bool(params["again"]),
        )

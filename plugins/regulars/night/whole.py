"""A whole night in one process without Airflow, in the order in which the DAG wires the steps.

A test holds this order and ``dags/run_night.py`` together.
"""

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial

from regulars.night.steps import SUBJECTS, Night

AFTER_EXTRACT = (
    "validate_landing",
    "load_raw",
    *(f"build_{subject}" for subject in SUBJECTS),
    "validate_marts",
    "propose",
    "validate_queues",
    "commit",
    "publish_marts",
    "export",
    "complete_night",
)
"""Steps after the shops are extracted, in order."""


def iter_steps(night: Night, run_id: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Name and call of every step between opening and closing."""
    for shop in night.list_shops(run_id):
        yield "extract_shop", partial(night.extract_shop, run_id, shop)
    for name in AFTER_EXTRACT:
        yield name, partial(getattr(night, name), run_id)


def run_whole_night(night: Night, day: date | None = None) -> str:
    """Run one night to its end; its run id. The lease is given back whatever happens.

    Raises:
        RegularsError: the step that failed says why.
    """
    run_id = night.open_night(day)
    try:
        for _, call in iter_steps(night, run_id):
            call()
    finally:
        night.close_night(run_id)
    return run_id

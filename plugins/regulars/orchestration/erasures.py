"""What ``dags/erase_person.py`` is wired from."""

from pathlib import Path

from airflow.sdk import get_current_context

from regulars.errors import ErasureError
from regulars.night.erasure import Eraser, Given, Outcome
from regulars.night.requests import erase_by_file
from regulars.orchestration.connections import credentials_from_connection
from regulars.progress import report
from regulars.settings import current_settings

ERASE_PERSON_DOC = Path(__file__).with_name("erase_person.md").read_text(encoding="utf-8")


def erase_person() -> None:
    """Erase the person that the run's ``request_file`` or ``customer_key`` names.

    Nothing is handed on: what a task returns stands in the scheduler's database.

    Raises:
        ErasureError: neither or both are given, or nobody is known by them.
    """
    context = get_current_context()
    params = context["params"]
    name, key = str(params["request_file"]), str(params["customer_key"])
    settings = current_settings()
    run = f"Airflow run {context['run_id']}"
    eraser = Eraser(settings, credentials_from_connection, holder=run, requested_by=run)
    if bool(name) == bool(key):
        raise ErasureError(
            "the run names nobody, or names somebody twice",
            where="erase_person",
            next_step="give request_file (a file in data/requests) or customer_key",
        )
    if name:
        tell(erase_by_file(eraser, settings, name))
        return
    given = (Given("customer_key", key),)
    tell(eraser.erase(given, request=str(params["request"]), confirm=lambda _: True))


def tell(outcome: Outcome) -> None:
    """Counts, and nobody's name, to the log."""
    for line in outcome.lines:
        report(line)

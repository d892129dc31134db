"""Runs the real DAGs in this process, without a scheduler: what ``regulars nightly`` does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow import __version__ as airflow_version

from regulars.errors import NightError
from regulars.orchestration import nights


def prepare_database(airflow_home: Path) -> bool:
    """Bring Airflow's metadata database to its version and create the pool; True if it was new."""
    stamp = airflow_home / f".database-{airflow_version}"
    if stamp.exists():
        return False
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    airflow_home.mkdir(parents=True, exist_ok=True)
    initdb()
    Pool.create_or_update_pool(
        nights.POOL, slots=1, description="One writer of the warehouse", include_deferred=False
    )
    stamp.touch()
    return True


def fail_abandoned_runs(dag_id: str) -> int:
    """Mark runs that a killed process left ``running`` as failed; how many.

    Call it only while this process holds, or nobody holds, the run lease.
    """
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from sqlalchemy import update

    with create_session() as session:
        result = session.execute(
            update(DagRun)
            .where(DagRun.dag_id == dag_id, DagRun.state == DagRunState.RUNNING)
            .values(state=DagRunState.FAILED)
        )
        return int(result.rowcount)


def run_dag(dag_id: str, logical_date: datetime, conf: dict[str, Any]) -> str:
    """Run a DAG to its end, task after task; its final state.

    Raises:
        NightError: the DAG file cannot be imported; names the reason.
    """
    from airflow.dag_processing.dagbag import DagBag

    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    # A fresh bag each time: a run's conf would otherwise change the next run's params.
    bag = DagBag(dag_folder=str(Path(folder) / f"{dag_id}.py"))
    if bag.import_errors or dag_id not in bag.dags:
        reason = "; ".join(
            str(text).strip().splitlines()[-1] for text in bag.import_errors.values()
        )
        raise NightError(
            f"the DAG cannot be imported: {reason or 'it is not in its file'}",
            where=f"dags/{dag_id}.py",
            next_step="correct what the message names",
        )
    run = bag.dags[dag_id].test(logical_date=logical_date, run_conf=conf)
    return str(run.state)


@contextmanager
def output_to(path: Path) -> Iterator[int]:
    """Send this process's output to a file; yields a descriptor of the terminal it had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(1)
    errors = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield terminal
        finally:
            os.dup2(terminal, 1)
            os.dup2(errors, 2)
            os.close(terminal)
            os.close(errors)

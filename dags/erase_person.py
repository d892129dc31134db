"""One person erased, on request: everywhere but in landing, and out of every future night."""

from datetime import datetime

from airflow.sdk import DAG, Param, task

from regulars.orchestration import erasures, nights

with DAG(
    dag_id="erase_person",
    doc_md=erasures.ERASE_PERSON_DOC,
    schedule=None,
    start_date=datetime(2017, 1, 1, tzinfo=nights.calendar_zone()),
    catchup=False,
    max_active_runs=1,
    default_args=nights.DEFAULT_ARGS,
    # Never a contact: what a run is started with stays in the scheduler's database.
    params={
        "request_file": Param("", type="string", description="Name of a file in data/requests"),
        "customer_key": Param("", type="string", description="Customer, instead of a file"),
        "request": Param("", type="string", description="Reference, for a customer_key"),
    },
    tags=["privacy", "impact/tier_1"],
):

    @task(pool=nights.POOL)
    def erase_person() -> None:
        erasures.erase_person()

    erase_person()

"""Once a month: landing compacted, raw pruned, files shrunk, leftovers removed."""

from datetime import datetime

from airflow.sdk import DAG, chain, task

from regulars.orchestration import maintenance, nights

with DAG(
    dag_id="maintain_warehouse",
    doc_md=maintenance.MAINTAIN_WAREHOUSE_DOC,
    schedule=maintenance.SCHEDULE,
    start_date=datetime(2017, 1, 1, tzinfo=nights.calendar_zone()),
    catchup=False,
    max_active_runs=1,
    default_args=nights.DEFAULT_ARGS,
    tags=["maintenance", "impact/tier_3"],
):
    chain(
        *(
            task(task_id=part, pool=nights.POOL, **maintenance.MAINTAIN_ARGS)(maintenance.maintain)(
                part
            )
            for part in maintenance.PARTS
        )
    )

"""A past night rebuilt from its manifest, beside the warehouse, and compared."""

from datetime import datetime

from airflow.sdk import DAG, Param, task

from regulars.orchestration import nights

with DAG(
    dag_id="replay_night",
    doc_md=nights.REPLAY_NIGHT_DOC,
    schedule=None,
    start_date=datetime(2017, 1, 1, tzinfo=nights.calendar_zone()),
    catchup=False,
    max_active_runs=1,
    default_args=nights.DEFAULT_ARGS,
    params={
        "date": Param("2017-10-01", type="string", format="date", description="Business date"),
    },
    tags=["replay", "impact/tier_3"],
):

    @task
    def replay_night() -> str:
        return nights.replay_night()

    replay_night()

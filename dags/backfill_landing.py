"""Days of one shop landed from its API; the next night absorbs them."""

from datetime import datetime

from airflow.sdk import DAG, Param, task

from regulars.orchestration import nights

with DAG(
    dag_id="backfill_landing",
    doc_md=nights.BACKFILL_LANDING_DOC,
    schedule=None,
    start_date=datetime(2017, 1, 1, tzinfo=nights.calendar_zone()),
    catchup=False,
    max_active_runs=1,
    default_args=nights.DEFAULT_ARGS,
    params={
        "shop": Param("demo_grocer", type="string", description="Shop code of config/shops.yml"),
        "first": Param("2017-10-01", type="string", format="date", description="First day"),
        "last": Param("2017-10-01", type="string", format="date", description="Last day"),
        "again": Param(False, type="boolean", description="Ask for what has landed as well"),
    },
    tags=["landing", "impact/tier_2"],
):

    @task
    def list_spans() -> list[str]:
        return nights.list_spans()

    @task(
        map_index_template="{{ task.op_kwargs['days'] }}",
        max_active_tis_per_dagrun=1,
        **nights.EXTRACT_ARGS,
    )
    def land_span(days: str) -> str:
        return nights.land_span(days)

    land_span.expand(days=list_spans())

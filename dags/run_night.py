"""The night: every shop's day from its sources to the send queue, once, in order."""

from datetime import datetime

from airflow.sdk import DAG, Param, task, task_group

from regulars.orchestration import nights

with DAG(
    dag_id="run_night",
    doc_md=nights.RUN_NIGHT_DOC,
    schedule=nights.night_timetable(),
    start_date=datetime(2017, 1, 1, tzinfo=nights.calendar_zone()),
    catchup=False,
    max_active_runs=1,
    default_args=nights.DEFAULT_ARGS,
    params={"date": Param("", type="string", description="Business date; empty: the next one")},
    tags=["night", "impact/tier_1"],
):

    def step(name: str, run_id: str, **task_args: object) -> object:
        return task(task_id=name, **task_args)(nights.step)(name, run_id)

    @task
    def open_night() -> str:
        return nights.open_night()

    @task
    def list_shops(run_id: str) -> list[str]:
        return nights.list_shops(run_id)

    @task(map_index_template="{{ task.op_kwargs['shop'] }}", **nights.EXTRACT_ARGS)
    def extract_shop(run_id: str, shop: str) -> None:
        nights.step("extract_shop", run_id, shop=shop)

    @task_group
    def extract(run_id: str) -> None:
        landed = extract_shop.partial(run_id=run_id).expand(shop=list_shops(run_id))
        landed >> step("validate_landing", run_id, trigger_rule="none_failed")

    @task_group
    def build(run_id: str) -> None:
        previous = step("load_raw", run_id, pool=nights.POOL)
        for name in (*(f"build_{subject}" for subject in nights.SUBJECTS), "validate_marts"):
            previous = previous >> step(name, run_id, pool=nights.POOL)

    @task_group
    def decide(run_id: str) -> None:
        proposed = step("propose", run_id, pool=nights.POOL)
        validated = step("validate_queues", run_id, pool=nights.POOL)
        proposed >> validated >> step("commit", run_id, pool=nights.POOL)

    @task_group
    def export(run_id: str) -> None:
        step("export", run_id) >> step("complete_night", run_id)

    opened = open_night()
    published = step("publish_marts", opened, pool=nights.POOL, outlets=[nights.MARTS])
    closed = task(task_id="close_night")(nights.step)("close_night", opened)
    built = build(opened)
    exported = export(opened)

    extract(opened) >> built >> [decide(opened), published] >> exported >> closed
    closed.as_teardown(setups=opened)

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

    def step(name: str, night: str, **task_args: object) -> object:
        return task(task_id=name, **task_args)(nights.step)(name, night)

    @task
    def open_night() -> str:
        return nights.open_night()

    @task
    def list_shops(night: str) -> list[str]:
        return nights.list_shops(night)

    @task(map_index_template="{{ task.op_kwargs['shop'] }}", **nights.EXTRACT_ARGS)
    def extract_shop(night: str, shop: str) -> None:
        nights.extract_shop(night, shop)

    @task_group
    def extract(night: str) -> None:
        landed = extract_shop.partial(night=night).expand(shop=list_shops(night))
        landed >> step("validate_landing", night, trigger_rule="none_failed")

    @task_group
    def build(night: str) -> None:
        previous = step("load_raw", night, pool=nights.POOL)
        for name in (*(f"build_{subject}" for subject in nights.SUBJECTS), "validate_marts"):
            previous = previous >> step(name, night, pool=nights.POOL)

    @task_group
    def decide(night: str) -> None:
        proposed = step("propose", night, pool=nights.POOL)
        validated = step("validate_queues", night, pool=nights.POOL)
        proposed >> validated >> step("commit", night, pool=nights.POOL)

    @task_group
    def export(night: str) -> None:
        step("export", night, pool=nights.POOL) >> step("complete_night", night)

    opened = open_night()
    published = step("publish_marts", opened, pool=nights.POOL, outlets=[nights.MARTS])
    closed = task(task_id="close_night")(nights.step)("close_night", opened)
    built = build(opened)
    exported = export(opened)

    extract(opened) >> built >> [decide(opened), published] >> exported >> closed
    closed.as_teardown()

import pytest
from sqlalchemy import MetaData, inspect, text

from regulars.errors import ConfigError, StateError
from regulars.state import IdentityDecision, StateStore
from regulars.state.database import Database
from regulars.state.migrations import APPEND_ONLY, STEPS, Step, migrate
from regulars.state.schema import metadata
from tests.state.processes import race
from tests.state.rows import DAY, PLANNED, ManualClock, member, proposal, suppressed
from tests.state.test_value_models import record_value_model

ERASURES = (
    *("erasures", "tombstones", "erasure_audits", "batch_scrubs", "erased_digests"),
    "erasure_reach",
)
LOYALTY = ("tier_grants", "point_redemptions")  # test_loyalty.py
GOOD = Step(1, "good", ("create table stands (n integer)",))


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_tables_are_those_the_code_declares(state: StateStore, state_url: str) -> None:
    with Database(state_url).reading() as connection:
        found = MetaData()
        found.reflect(connection)
    assert set(found.tables) == set(metadata.tables)
    for name, declared in metadata.tables.items():
        stored = found.tables[name]
        assert [column.name for column in stored.columns] == [
            column.name for column in declared.columns
        ]
        assert {key.name for key in stored.primary_key} == {
            key.name for key in declared.primary_key
        }
        for column in declared.columns:
            # SQLite calls a primary key nullable unless it says not null as well.
            nullable = stored.columns[column.name].nullable and not column.primary_key
            assert nullable == column.nullable, (name, column.name)


def test_applies_each_step_once(empty_url: str, clock: ManualClock) -> None:
    database = Database(empty_url)
    assert migrate(database, clock()) == [step.version for step in STEPS]
    assert migrate(database, clock()) == []


def test_applies_only_what_is_missing(empty_url: str, clock: ManualClock) -> None:
    database = Database(empty_url)
    migrate(database, clock(), [GOOD])
    further = Step(2, "further", ("insert into stands values (2)",))
    assert migrate(database, clock(), [GOOD, further]) == [2]
    with database.reading() as connection:
        assert connection.execute(text("select n from stands")).scalars().all() == [2]


def test_leaves_nothing_when_a_step_fails(empty_url: str, clock: ManualClock) -> None:
    database = Database(empty_url)
    broken = Step(2, "broken", ("insert into nowhere values (1)",))
    with pytest.raises(StateError, match="nowhere"):
        migrate(database, clock(), [GOOD, broken])
    assert migrate(database, clock(), [GOOD]) == [1]


def test_a_database_of_consumed_batches_loses_them_and_keeps_its_nights(
    empty_url: str, clock: ManualClock
) -> None:
    database = Database(empty_url)
    migrate(database, clock(), STEPS[:2])
    with database.writing() as connection:
        connection.execute(
            text(
                "insert into nights (run_id, as_of_date, status, opened_at) "
                "values ('night-20171001', '2017-10-01', 'open', '2017-10-02 00:00:00')"
            )
        )
        connection.execute(
            text("insert into consumed_batches values ('b', 'night-20171001', '2017-10-02')")
        )
    assert migrate(database, clock())[0] == 3
    with database.reading() as connection:
        assert connection.execute(text("select run_id from nights")).scalars().all() == [
            "night-20171001"
        ]
        assert not inspect(connection).has_table("consumed_batches")


def test_refuses_a_step_that_was_edited(empty_url: str, clock: ManualClock) -> None:
    database = Database(empty_url)
    migrate(database, clock(), [GOOD])
    edited = Step(1, "good", ("create table stands (n bigint)",))
    with pytest.raises(StateError, match="edited"):
        migrate(database, clock(), [edited])


def test_refuses_a_database_that_is_newer(empty_url: str, clock: ManualClock) -> None:
    database = Database(empty_url)
    migrate(database, clock(), [GOOD, Step(2, "newer", ("create table more (n integer)",))])
    with pytest.raises(StateError, match="schema version 2, this code knows 1"):
        migrate(database, clock(), [GOOD])


def test_two_starters_at_once_both_find_it_ready(empty_url: str) -> None:
    def start() -> str:
        return str(StateStore(empty_url).stream_heads()["state__decisions"])

    assert race(*[start] * 4) == ["0"] * 4


def test_what_is_recorded_cannot_be_changed(state: StateStore, state_url: str) -> None:
    night = state.nights.open(DAY)
    later = suppressed(2, "cap", is_final=False)
    state.commit_decisions(night.run_id, "gift", [proposal(1), later])
    record_value_model(state)
    decided = IdentityDecision("demo", member(1), member(2), "merge", PLANNED, "ann", "ticket")
    state.identity.record(decided)
    database = Database(state_url)
    for table in APPEND_ONLY:
        if table in ("batch_exits", "refusals", "threshold_versions", *ERASURES, *LOYALTY):
            continue  # empty here, and SQLite's triggers only fire on rows
        branded = ("decisions", "deferrals", "identity_decisions", "value_models")
        has_brand = table in (*branded, "value_calibrations")
        column = "brand" if has_brand else "run_id"
        for statement in (f"update {table} set {column} = 'x'", f"delete from {table}"):
            with (
                pytest.raises(StateError, match="append-only"),
                database.writing() as connection,
            ):
                connection.execute(text(statement))


def test_every_append_only_table_is_guarded(state: StateStore, state_url: str) -> None:
    database = Database(state_url)
    catalogue = {
        "sqlite": "select tbl_name from sqlite_master where type = 'trigger'",
        "postgresql": "select event_object_table from information_schema.triggers "
        "where trigger_schema = current_schema()",
    }[database.dialect]
    with database.reading() as connection:
        guarded = connection.execute(text(catalogue)).scalars().all()
    # An update and a delete trigger, or the two events of one trigger.
    assert sorted(guarded) == sorted([*APPEND_ONLY, *APPEND_ONLY])


@pytest.mark.parametrize(
    "url", ["mysql://db/state", "not a url", "sqlite://", "sqlite:///:memory:"]
)
def test_refuses_a_url_it_cannot_keep_state_in(url: str) -> None:
    with pytest.raises(ConfigError, match="REGULARS_STATE_URL"):
        StateStore(url)


def test_names_the_place_without_the_password() -> None:
    with pytest.raises(StateError) as caught:
        StateStore("postgresql://somebody:hidden@127.0.0.1:1/nowhere")
    assert "nowhere on 127.0.0.1" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_sqlite_survives_a_power_cut(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    with database.writing() as connection:
        assert connection.execute(text("pragma journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("pragma synchronous")).scalar_one() == 2  # FULL
        assert connection.execute(text("pragma foreign_keys")).scalar_one() == 1

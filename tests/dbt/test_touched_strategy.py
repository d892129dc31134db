"""How tables are written, incremental and whole, on small models that use the project's macros."""

import shutil
from pathlib import Path

import duckdb
import pytest
from dbt.adapters.duckdb.impl import DuckDBAdapter

from tests.dbt.project import PROJECT_DIR, DbtFailed, Project, open_pair

MODELS = {
    "changed": """
        {{ config(materialized='table') }}
        select item from {{ source('ops', 'changes') }}
    """,
    "items": """
        {{ config(meta={
            'touched_relation': 'changed',
            'touched_key': 'item',
            'propagates': {'owners': 'owner'},
        }) }}
        select item, owner, amount
        from {{ source('ops', 'landed') }}
        where {{ only_touched('item', 'changed') }}
    """,
    "valid_items": """
        {{ config(
            database='marts', contract={'enforced': true},
            meta={'touched_relation': 'changed', 'touched_key': 'item'},
        ) }}
        select item, owner, amount
        from {{ ref('items') }}
        where amount > 0 and {{ only_touched('item', 'changed') }}
    """,
    "owners": """
        {{ config(
            database='marts', contract={'enforced': true},
            meta={
                'touched_relation': 'ops.touched_keys',
                'touched_key': 'owner',
                'touched_column': 'key',
            },
        ) }}
        -- depends_on: {{ ref('items') }}
        select owner, cast(sum(amount) as bigint) as total
        from {{ ref('valid_items') }}
        where {{ only_touched('owner', 'ops.touched_keys', 'key') }}
        group by owner
    """,
    "listing": """
        {{ config(materialized='table', database='marts', contract={'enforced': true}) }}
        select item, owner, amount
        from {{ source('ops', 'landed') }}
    """,
}
PROPERTIES = """
version: 2
sources:
  - name: ops
    database: "{{ target.database }}"
    tables: [{name: run}, {name: touched_keys}, {name: pending_batches}, {name: changes}, {name: landed}]
models:
  - name: valid_items
    columns:
      - {name: item, data_type: integer, constraints: [{type: not_null}]}
      - {name: owner, data_type: uuid, constraints: [{type: not_null}]}
      - {name: amount, data_type: integer}
  - name: owners
    columns:
      - {name: owner, data_type: uuid}
      - {name: total, data_type: bigint}
  - name: listing
    columns:
      - {name: item, data_type: integer}
      - {name: owner, data_type: uuid, constraints: [{type: not_null}]}
      - {name: amount, data_type: integer}
"""  # noqa: E501
PROJECT = """
name: regulars
version: "1.0"
config-version: 2
profile: regulars
flags: {send_anonymous_usage_stats: false}
models:
  +materialized: incremental
  +incremental_strategy: touched
  +on_schema_change: fail
"""
ANN = "00000000-0000-0000-0000-00000000000a"
BOB = "00000000-0000-0000-0000-00000000000b"


def _write_project(directory: Path, models: dict[str, str]) -> Path:
    (directory / "models").mkdir(parents=True)
    (directory / "macros").mkdir()
    (directory / "dbt_project.yml").write_text(PROJECT)
    (directory / "models" / "properties.yml").write_text(PROPERTIES)
    shutil.copy(PROJECT_DIR / "profiles.yml", directory)
    for name in ("names.sql", "tables.sql", "touched.sql"):
        shutil.copy(PROJECT_DIR / "macros" / name, directory / "macros")
    for name, sql in models.items():
        (directory / "models" / f"{name}.sql").write_text(sql)
    return directory


class Toy:
    """Three models and the tables they read."""

    def __init__(self, project: Project, warehouse: Path) -> None:
        self.project = project
        self.warehouse = warehouse

    def with_models(self, directory: Path, **models: str) -> "Toy":
        """The same warehouse under a project in which some models are written differently."""
        changed = _write_project(directory / "project", {**MODELS, **models})
        return Toy(Project(directory / "work", changed), self.warehouse)

    def land(self, *rows: tuple[int, str | None, int | None]) -> None:
        """These items are now so; they and nothing else have changed."""
        with open_pair(self.warehouse) as connection:
            connection.execute("delete from ops.changes")
            for item, owner, amount in rows:
                connection.execute("delete from ops.landed where item = ?", [item])
                connection.execute("insert into ops.landed values (?, ?, ?)", [item, owner, amount])
                connection.execute("insert into ops.changes values (?)", [item])

    def build(self, *arguments: str) -> None:
        self.project.run(self.warehouse, "run", *arguments)

    def consume(self) -> None:
        self._query("delete from ops.touched_keys")

    def rows(self, table: str) -> list[tuple[object, ...]]:
        return self._query(f"select * from {table} order by all")

    def _query(self, sql: str) -> list[tuple[object, ...]]:
        with open_pair(self.warehouse) as connection:
            found: list[tuple[object, ...]] = connection.execute(sql).fetchall()
        return [
            tuple(str(value) if hasattr(value, "hex") else value for value in row) for row in found
        ]


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    directory = tmp_path_factory.mktemp("toy")
    project_dir = _write_project(directory / "project", MODELS)
    toy = Toy(Project(directory / "work", project_dir), directory / "warehouse")
    with open_pair(toy.warehouse) as connection:
        connection.execute("create table ops.landed (item integer, owner uuid, amount integer)")
        connection.execute("create table ops.changes (item integer)")
        connection.execute("insert into ops.run values ('r', date '2017-10-01', null)")
    toy.land((1, ANN, 10), (2, ANN, 5), (3, BOB, 7))
    toy.build()
    toy.consume()
    return toy


@pytest.fixture
def toy(first_night: Toy, tmp_path: Path) -> Toy:
    shutil.copytree(first_night.warehouse, tmp_path / "warehouse")
    return Toy(first_night.project, tmp_path / "warehouse")


def test_an_owner_who_lost_everything_is_recomputed_with_the_new_one(toy: Toy) -> None:
    toy.land((3, ANN, 7))
    toy.build()
    assert toy.rows("marts.owners") == [(ANN, 22)]


def test_a_row_that_stops_being_valid_leaves_and_its_owner_is_recomputed(toy: Toy) -> None:
    toy.land((1, ANN, -1))
    toy.build()
    assert [row[0] for row in toy.rows("marts.valid_items")] == [2, 3]
    assert toy.rows("marts.owners") == [(ANN, 5), (BOB, 7)]


def test_untouched_rows_are_not_rewritten(toy: Toy) -> None:
    with open_pair(toy.warehouse) as connection:
        connection.execute("update marts.valid_items set amount = 99 where item = 2")
    toy.land((1, ANN, 11))
    toy.build()
    assert (2, ANN, 99) in toy.rows("marts.valid_items")


def test_a_repeated_night_doubles_nothing_and_still_knows_the_old_owner(toy: Toy) -> None:
    toy.land((3, ANN, 7))
    toy.build("--select", "changed", "items")
    # The first attempt died here: items is new already, owners never ran.
    toy.build()
    assert toy.rows("marts.owners") == [(ANN, 22)]
    assert len(toy.rows("items")) == 3
    assert toy.rows("ops.touched_keys") == [("r", "owners", ANN), ("r", "owners", BOB)]


def test_a_refused_row_leaves_the_mart_as_it_was(toy: Toy) -> None:
    toy.land((1, None, 4), (2, ANN, 6))
    with pytest.raises(DbtFailed, match="valid_items"):
        toy.build()
    assert toy.rows("marts.valid_items") == [(1, ANN, 10), (2, ANN, 5), (3, BOB, 7)]
    toy.land((1, ANN, 4), (2, ANN, 6))
    toy.build()
    assert toy.rows("marts.owners") == [(ANN, 10), (BOB, 7)]


def test_a_changed_schema_fails_and_a_full_refresh_heals_it(toy: Toy, tmp_path: Path) -> None:
    wider = MODELS["items"].replace("amount\n", "amount, 1 as more\n", 1)
    toy = toy.with_models(tmp_path, items=wider)
    toy.land((1, ANN, 11))
    with pytest.raises(DbtFailed, match="out of sync"):
        toy.build()
    assert len(toy.rows("items")[0]) == 3
    toy.build("--full-refresh")
    assert len(toy.rows("items")[0]) == 4


def test_a_mart_cannot_propagate_keys(toy: Toy, tmp_path: Path) -> None:
    # The engine writes to one file per transaction, so half of it could be lost.
    propagating = MODELS["valid_items"].replace(
        "'touched_key': 'item'", "'touched_key': 'item', 'propagates': {'x': 'owner'}"
    )
    toy = toy.with_models(tmp_path, valid_items=propagating)
    toy.land((1, ANN, 11))
    with pytest.raises(DbtFailed, match="cannot propagate"):
        toy.build()


def test_a_table_is_replaced_whole(toy: Toy) -> None:
    toy.land((3, ANN, 8))
    toy.build("--select", "listing")
    assert toy.rows("marts.listing") == [(1, ANN, 10), (2, ANN, 5), (3, ANN, 8)]


def test_a_table_that_cannot_be_built_stays_as_it_was(toy: Toy) -> None:
    toy.land((1, None, 4), (2, ANN, 6))
    with pytest.raises(DbtFailed, match="listing"):
        toy.build("--select", "listing")
    assert toy.rows("marts.listing") == [(1, ANN, 10), (2, ANN, 5), (3, BOB, 7)]


def test_a_view_that_became_a_table_is_replaced(toy: Toy) -> None:
    with open_pair(toy.warehouse) as connection:
        connection.execute("drop table marts.listing")
        connection.execute("create view marts.listing as select 1 as one")
    toy.build("--select", "listing")
    assert len(toy.rows("marts.listing")) == 3


@pytest.mark.parametrize("name", ["listing", "valid_items"])
def test_a_broken_contract_is_found_wherever_something_changed(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    toy = toy.with_models(
        tmp_path, **{name: MODELS[name].replace("amount\n", "1.5 as amount\n", 1)}
    )
    broken = "This model has an enforced contract that failed"
    with pytest.raises(DbtFailed, match=broken):
        toy.build("--select", name)
    monkeypatch.setenv("REGULARS_CONTRACTS", "changed")
    with pytest.raises(DbtFailed, match=broken):
        toy.build("--full-refresh", "--select", name)


@pytest.mark.parametrize("name", ["listing", "valid_items"])
def test_a_contract_that_held_is_not_asked_again(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[str] = []
    original = DuckDBAdapter.get_column_schema_from_query
    monkeypatch.setattr(
        DuckDBAdapter,
        "get_column_schema_from_query",
        lambda adapter, sql, *rest: asked.append(sql) or original(adapter, sql, *rest),
    )
    toy.build("--select", name)
    assert len(asked) == 2
    asked.clear()
    monkeypatch.setenv("REGULARS_CONTRACTS", "changed")
    toy.build("--select", name)
    assert not asked


def test_the_files_are_free_when_dbt_has_returned(toy: Toy) -> None:
    for name in ("warehouse.duckdb", "marts.duckdb"):
        duckdb.connect(str(toy.warehouse / name), config={"threads": 1}).close()

"""The incremental strategy itself, on three small models that use the project's own macros."""

import shutil
from pathlib import Path

import duckdb
import pytest

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
    for name in ("names.sql", "touched.sql"):
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


def test_the_files_are_free_when_dbt_has_returned(toy: Toy) -> None:
    for name in ("warehouse.duckdb", "marts.duckdb"):
        duckdb.connect(str(toy.warehouse / name), config={"threads": 1}).close()

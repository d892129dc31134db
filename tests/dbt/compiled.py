"""Runs the SQL of a few models, compiled once, on rows that a test makes up: in memory, in order.

dbt takes seconds for a run and a property wants hundreds of them. What runs here is what dbt
compiled; only the materialisation is left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from tests.dbt.project import Project, open_pair


class CompiledModels:
    """Models with everything above them, rebuilt as a whole from given tables."""

    def __init__(self, project: Project, directory: Path, names: Sequence[str]) -> None:
        """Compile ``names``, to be rebuilt in this order; everything else they read is given.

        Args:
            project: the parsed project.
            directory: for a warehouse without models, so that nothing is compiled as incremental.
            names: models, each after those it reads.
        """
        with open_pair(directory):
            pass
        project.run(directory, "seed")
        nodes = {
            node.node.name: node.node
            for node in project.run(directory, "compile", "--select", *names)
        }
        self._built = [nodes[name] for name in names]
        self._connection = duckdb.connect()
        for database in ("warehouse", "marts"):
            self._connection.execute(f"attach ':memory:' as {database}")
        self._copy_seeds_and_sources(directory)

    def _copy_seeds_and_sources(self, directory: Path) -> None:
        self._connection.execute(f"attach '{directory / 'warehouse.duckdb'}' as built (read_only)")
        tables = self._connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'built'"
        ).fetchall()
        for schema, table in tables:
            self._connection.execute(f"create schema if not exists warehouse.{schema}")
            self._connection.execute(
                f"create table warehouse.{schema}.{table} as from built.{schema}.{table}"
            )
        for schema in ("intermediate", "staging"):
            self._connection.execute(f"create schema if not exists warehouse.{schema}")

    def give(
        self, relation: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Replace ``relation`` (database.schema.table) by ``rows`` of ``columns`` (name: type)."""
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        self._connection.execute(f"create or replace table {relation} ({typed})")
        if rows := list(rows):
            marks = ", ".join("?" * len(columns))
            self._connection.executemany(f"insert into {relation} values ({marks})", rows)

    def set_seed(self, seed: str, name: str, value: str) -> None:
        """Set the value of a named number of ``seed``."""
        self._connection.execute(
            f"update warehouse.seeds.{seed} set value = ? where name = ?", [value, name]
        )

    def build(self) -> None:
        """Rebuild every model."""
        for node in self._built:
            self._connection.execute(
                f"create or replace table {node.relation_name} as {node.compiled_code}"
            )

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Answer of ``query``."""
        return self._connection.execute(query, list(values)).fetchall()

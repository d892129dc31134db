"""Reading the published marts, as every reader should: through the pointer, read-only."""

from pathlib import Path
from typing import Any

import duckdb

from regulars.errors import WarehouseError
from regulars.settings import Settings


def published_path(settings: Settings) -> Path:
    """The pointer that readers open."""
    return settings.published_dir / "current.duckdb"


def query_published(settings: Settings, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query on the published marts.

    Raises:
        WarehouseError: nothing is published yet, or the query is not valid.
    """
    path = published_path(settings)
    if not path.exists():
        raise WarehouseError(
            "nothing is published yet", where=str(path), next_step="run `make nightly` first"
        )
    # Resolved, because one process sees an instance by its path: the pointer may move.
    with duckdb.connect(str(path.resolve()), read_only=True) as connection:
        try:
            cursor = connection.execute(query)
        except duckdb.Error as error:
            raise WarehouseError(
                f"the query is not valid: {str(error).splitlines()[0]}",
                where="published marts",
                next_step='`regulars query "show tables"` lists what there is',
            ) from error
        return [item[0] for item in cursor.description or []], cursor.fetchall()

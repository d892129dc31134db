"""What each step of a run did and how long it took: ``data/reports/<run_id>/steps.ndjson``.

Steps run in processes of their own under the scheduler, so the journal is a file that each of
them appends one line to. The closing summary and the tests read it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regulars.settings import Settings


def journal_path(settings: Settings, run_id: str) -> Path:
    """Where the journal of a run stands."""
    return settings.reports_dir / run_id / "steps.ndjson"


def write_entry(settings: Settings, run_id: str, entry: dict[str, Any]) -> None:
    """Append one entry."""
    path = journal_path(settings, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")


def read_entries(settings: Settings, run_id: str) -> Iterator[dict[str, Any]]:
    """All entries of a run, oldest first; a line cut short by a kill is passed over."""
    try:
        text = journal_path(settings, run_id).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def latest_entries(settings: Settings, run_id: str) -> list[dict[str, Any]]:
    """The entries since the run was last opened."""
    entries = list(read_entries(settings, run_id))
    starts = [number for number, entry in enumerate(entries) if entry.get("step") == "open_night"]
    return entries[starts[-1] :] if starts else entries

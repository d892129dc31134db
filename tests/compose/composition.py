"""docker-compose.yml as Compose reads it, without Compose."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")

_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}`` replaced."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match["name"], "")
        if found or match["kind"] is None:
            return found
        if match["kind"] == "?":
            raise KeyError(f"{match['name']}: {match['rest']}")
        return str(match["rest"])

    return _REFERENCE.sub(value, text)


def composition(values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The parsed file; with its variables filled in when ``values`` are given."""
    text = TEXT if values is None else interpolate(TEXT, values)
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def references() -> dict[str, set[str]]:
    """Every variable of the file with the ways it is referred to (``-``, ``?`` or empty)."""
    found: dict[str, set[str]] = {}
    for match in _REFERENCE.finditer(TEXT):
        found.setdefault(match["name"], set()).add(match["kind"] or "")
    return found

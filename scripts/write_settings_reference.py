"""Write docs/reference/settings.md from regulars.settings; a test keeps the two equal."""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from regulars.settings import PROJECT_ROOT, Settings

TARGET = PROJECT_ROOT / "docs" / "reference" / "settings.md"

HEAD = """\
# Settings

<!-- Written by `make docs` from plugins/regulars/settings.py; change it there. -->

Settings are environment variables. `make` and the services read them from `.env`, and a variable
of the real environment wins over `.env`. `.env.example` gives each with its unit and the reason
to change it. The secrets of shops are [Connections](../how-to/add-a-shop.md#3-its-credentials).

| variable | type | default | meaning |
|---|---|---|---|
"""


def default_text(field: FieldInfo) -> str:
    """The default as a reader writes it; paths below the project without the project's folder."""
    value: Any = field.default
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT_ROOT)}/` in the project"
    return "empty" if value == "" else f"`{value}`"


def type_text(field: FieldInfo) -> str:
    """The field's type in a word, with the bounds it enforces."""
    kinds = {str: "text", int: "whole number", float: "number", Path: "absolute path"}
    signs = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    bounds = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([kinds.get(field.annotation or str, str(field.annotation)), *bounds])


def render() -> str:
    """The whole page."""
    rows = [
        f"| `REGULARS_{name.upper()}` | {type_text(field)} | {default_text(field)} "
        f"| {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")

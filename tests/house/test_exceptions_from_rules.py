"""What is let pass by ruff or mypy says why, on its line."""

import re

import pytest

from tests.house.repository import ROOT, repository_files

LET_PASS = re.compile(
    r"#\s*(?:noqa|type:\s*ignore)\b(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|\[[a-z, -]+\])?(.*)"
)


def without_reason(source: str) -> list[str]:
    """Lines that let something pass and do not say which rule, or not why."""
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        match = LET_PASS.search(line)
        if match and not re.search(r"\w{2,}", match[1]):
            found.append(f"{number}: {line.strip()}")
    return found


def test_every_exception_from_a_rule_says_why() -> None:
    guilty = [
        f"{path}:{line}"
        for pattern in ("plugins/*.py", "dags/*.py", "scripts/*.py")
        for path in repository_files(pattern)
        for line in without_reason((ROOT / path).read_text(encoding="utf-8"))
    ]
    assert guilty == []


@pytest.mark.parametrize(
    ("line", "is_bare"),
    [
        ("x = f()  # noqa: S603", True),
        ("x = f()  # type: ignore[arg-type]", True),
        ("x = f()  # noqa: S603, S607", True),
        ("x = f()  # noqa", True),
        ("x = f()  # noqa: S603 - our own module", False),
        ("x = f()  # type: ignore[misc]  # the library has no types", False),
        ("x = f()", False),
    ],
)
def test_a_bare_exception_is_seen(line: str, is_bare: bool) -> None:
    assert bool(without_reason(line)) == is_bare

"""sqlfluff over the dbt project, through dbt's own templater and a database in memory.

sqlfluff needs more than a second of work for each file, so files that were clean, under the same
rules and the macros that they name, are not looked at again: the user's cache folder remembers them
by content, for every clone on this machine. Removing ~/.cache/regulars lints everything.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CLEAN = CACHE / "regulars" / "sqlfluff-clean"
REMEMBERED = 5_000
"""Clean contents that are remembered, the newest; a whole project has some 150."""
FOLDERS = ("models", "tests")
# What decides about every file.
SHARED = (".sqlfluff", "dbt_project/*.yml")
TOOLS = ("sqlfluff", "sqlfluff-templater-dbt", "dbt-core", "dbt-duckdb")
_DEFINED = re.compile(r"\{%-?\s*(?:macro|test|materialization)\s+(?:default__|duckdb__)?(\w+)")
_WORD = re.compile(r"\w+")


def sql_files(root: Path) -> list[Path]:
    """Every SQL file that is linted."""
    found = (path for name in FOLDERS for path in (root / "dbt_project" / name).rglob("*.sql"))
    return sorted(found)


class Macros:
    """The macro files of a project, and which of them decides about a text."""

    def __init__(self, root: Path, sql: Iterable[str]) -> None:
        self.text = {
            path: path.read_text(encoding="utf-8")
            for path in sorted((root / "dbt_project" / "macros").rglob("*.sql"))
        }
        self._where: dict[str, set[Path]] = {}
        for path, text in self.text.items():
            for name in _DEFINED.findall(text):
                self._where.setdefault(name, set()).add(path)
        called = {word for text in sql for word in _WORD.findall(text)}
        for path, text in self.text.items():
            own = {name for name, paths in self._where.items() if paths == {path}}
            called |= {*_WORD.findall(text)} - own
        # What nobody calls, dbt calls by itself: a name of a schema, a strategy.
        self._everywhere = {
            path for name, paths in self._where.items() if name not in called for path in paths
        }

    def of(self, text: str) -> list[Path]:
        """Macro files that what ``text`` names may come to, in order."""
        found: set[Path] = set()
        queue = [*self._everywhere, *self._named(text)]
        while queue:
            path = queue.pop()
            if path not in found:
                found.add(path)
                queue += self._named(self.text[path])
        return sorted(found)

    def _named(self, text: str) -> set[Path]:
        return {path for word in _WORD.findall(text) for path in self._where.get(word, ())}


def content_keys(root: Path, files: Iterable[Path]) -> dict[Path, str]:
    """For each file a digest of all that its lint depends on."""
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    shared = hashlib.sha256(json.dumps([version(tool) for tool in TOOLS]).encode())
    # The unions of staging models are made of the names of the files that there are.
    staged = sorted(path.name for path in texts if path.name.startswith("stg_"))
    shared.update(json.dumps(staged).encode())
    for path in sorted(path for pattern in SHARED for path in root.glob(pattern)):
        shared.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    macros = Macros(root, texts.values())
    keys = {}
    for path, text in texts.items():
        digest = shared.copy()
        for one in macros.of(text):
            digest.update(one.name.encode() + b"\0" + macros.text[one].encode() + b"\0")
        digest.update(str(path.relative_to(root)).encode() + b"\0" + text.encode())
        keys[path] = digest.hexdigest()
    return keys


def remember(known: Iterable[str], clean: Iterable[str], place: Path | None = None) -> None:
    """Write down what is clean; others' newest are kept. Without a cache folder nothing is.

    Args:
        known: what was written down before.
        clean: what has been found clean now.
        place: the file; that of this lint when not given.
    """
    place = place or CLEAN
    lines = [*dict.fromkeys([*known, *clean])][-REMEMBERED:]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f"{place.name}.{os.getpid()}")
        part.write_text("\n".join(lines) + "\n", encoding="ascii")
        part.replace(place)
    except OSError as error:
        sys.stdout.write(f"what is clean cannot be remembered: {error}\n")


def findings(report: str) -> dict[Path, list[str]]:
    """What sqlfluff's JSON says, by file, as lines a person reads and an editor follows."""
    found: dict[Path, list[str]] = {}
    for entry in json.loads(report):
        path = ROOT / entry["filepath"]
        found[path] = [
            f"{entry['filepath']}:{violation['start_line_no']}:{violation['start_line_pos']}: "
            f"{violation['code']} {violation['description']}"
            for violation in entry["violations"]
        ]
    return found


def sqlfluff(mode: str, files: Iterable[Path], *options: str) -> subprocess.CompletedProcess[str]:
    """Run sqlfluff on ``files``; what dbt writes meanwhile goes beside nothing a night uses."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {
            "DBT_TARGET_PATH": f"{scratch}/target",
            "DBT_LOG_PATH": f"{scratch}/logs",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "REGULARS_WAREHOUSE_PATH": ":memory:",
            "REGULARS_MARTS_PATH": ":memory:",
        }
        command = [str(Path(sys.executable).with_name("sqlfluff")), mode, "--processes", "0"]
        return subprocess.run(  # noqa: S603 - our own tool
            [*command, *options, *(str(path.relative_to(ROOT)) for path in files)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def lint(files: Iterable[Path]) -> int:
    """Lint what has changed; 0 when everything is clean."""
    keys = content_keys(ROOT, files)
    known = CLEAN.read_text(encoding="ascii").split() if CLEAN.exists() else []
    seen = set(known)
    changed = [path for path, key in keys.items() if key not in seen]
    if not changed:
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        answer = sqlfluff("lint", changed, "--format", "json", "--write-output", str(report))
        found = findings(report.read_text(encoding="utf-8")) if report.exists() else {}
    if not found:
        sys.stdout.write(answer.stdout + answer.stderr)
        return answer.returncode or 1
    remember(known, [key for path, key in keys.items() if not found.get(path, path in changed)])
    left = [path.relative_to(ROOT) for path in changed if path not in found]
    skipped = [f"{path}: sqlfluff passed it over" for path in left]
    lines = [*(line for path in changed for line in found.get(path, [])), *skipped]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if lines else answer.returncode


def fix(files: Iterable[Path]) -> int:
    """Let sqlfluff rewrite what it can; what is left shows up in the next lint."""
    answer = sqlfluff("fix", files, "--disable-progress-bar", "--quiet")
    if answer.returncode > 1:
        sys.stdout.write(answer.stdout + answer.stderr)
    return answer.returncode if answer.returncode > 1 else 0


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("lint", "fix"))
    mode = parser.parse_args().mode
    files = sql_files(ROOT)
    return lint(files) if mode == "lint" else fix(files)


if __name__ == "__main__":
    raise SystemExit(main())

"""sqlfluff over the dbt project, through dbt's own templater and a database in memory.

sqlfluff needs more than a second of work for each file, so files that were clean, under the same
rules and macros, are not looked at again: .venv/.sqlfluff-clean remembers them by content.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLEAN = Path(sys.prefix) / ".sqlfluff-clean"
FOLDERS = ("models", "tests")
# What decides about every file: the rules, and whatever its Jinja may call.
SHARED = (".sqlfluff", "dbt_project/*.yml", "dbt_project/macros/**/*.sql")


def sql_files(root: Path) -> list[Path]:
    """Every SQL file that is linted."""
    found = (path for name in FOLDERS for path in (root / "dbt_project" / name).rglob("*.sql"))
    return sorted(found)


def content_keys(root: Path, files: Iterable[Path]) -> dict[Path, str]:
    """For each file a digest of all that its lint depends on."""
    shared = hashlib.sha256(version("sqlfluff").encode())
    for path in sorted(path for pattern in SHARED for path in root.glob(pattern)):
        shared.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    keys = {}
    for path in files:
        digest = shared.copy()
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
        keys[path] = digest.hexdigest()
    return keys


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
    known = set(CLEAN.read_text(encoding="ascii").split()) if CLEAN.exists() else set()
    changed = [path for path, key in keys.items() if key not in known]
    if not changed:
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        answer = sqlfluff("lint", changed, "--format", "json", "--write-output", str(report))
        found = findings(report.read_text(encoding="utf-8")) if report.exists() else {}
    if not found:
        sys.stdout.write(answer.stdout + answer.stderr)
        return answer.returncode or 1
    clean = {key for path, key in keys.items() if not found.get(path, path in changed)}
    CLEAN.write_text("\n".join(sorted(clean)) + "\n", encoding="ascii")
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

"""Whether the models' SQL would mean the same to another engine: law 12, checked twice.

As it is written, a model uses no construct whose name or meaning differs between DuckDB and Spark;
such constructs stand in macros that are dispatched, where another engine puts its own beside ours.
As it is compiled, both dialects can read it, sort nulls to the same end, and no division meets a
zero. It is read, never translated: a translation of this SQL would not be to be trusted.

What was clean is remembered by content, as lint_sql.py does; a model that is clean is not looked at
again until it, or a macro that it names, has changed.
"""

import contextlib
import hashlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import lint_sql
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from regulars.transform.staged import STAGED_VARIABLE, staged_models

ROOT = lint_sql.ROOT
CLEAN = lint_sql.CACHE / "regulars" / "portable-clean"
PARSED = lint_sql.CACHE / "regulars" / "portable-parsed"
"""Where dbt keeps what it has parsed for this lint: a change then costs a second."""
DIALECTS = ("duckdb", "spark")


@dataclass(frozen=True)
class Construct:
    """Something that a model, or a macro that is not dispatched, does not write itself.

    Attributes:
        what: what is wrong with it, as a person reads it.
        pattern: finds it in lower-case SQL without comments, Jinja and texts.
    """

    what: str
    pattern: str


CONSTRUCTS = (
    Construct(
        "counts elapsed hours elsewhere: use macro days_between, add_days or month_number",
        r"\b(date_?diff|date_?sub|date_?add|date_?trunc|months_between|age)\s*\(",
    ),
    Construct("has another name elsewhere: use max_by or min_by", r"\barg_?(max|min)\s*\("),
    Construct(
        "differs between engines: use macro quantile",
        r"\b(quantile\w*|percentile\w*|approx_\w+)\s*\(",
    ),
    Construct(
        "handles lists: use macros list_of, explode, dates_between or those of macros/portability",
        r"\b(list_\w+|array_\w+|list|array|unnest|explode|flatten|range|sequence|generate_series"
        r"|string_agg|group_concat|listagg)\s*\(|\blambda\b|->",
    ),
    Construct(
        "reads JSON: raw is parsed when it is loaded",
        r"\b(json_\w+|get_json_object|from_json|to_json)\s*\(|->>?",
    ),
    Construct(
        "formats or reads dates: use the macros of macros/time.sql",
        r"\b(strftime|strptime|date_format|to_char|to_date|to_timestamp|try_strptime)\s*\(",
    ),
    Construct(
        "reckons with instants: use the macros of macros/time.sql and a DATE column for days",
        r"\b(epoch\w*|to_(seconds|minutes|hours|days)|timezone|make_timestamp\w*)\s*\("
        r"|\bat\s+time\s+zone\b|\btimestamptz\b|\bwith\s+time\s+zone\b",
    ),
    Construct("divides whole numbers: use macro floor_share or prorate_down", r"//|\bdiv\b"),
    Construct(
        "treats nulls otherwise elsewhere: use || and coalesce each part", r"\bconcat(_ws)?\s*\("
    ),
    Construct(
        "is a text to Spark: use adapter.quote, or a name that needs no quotes", r'"[^"\n]*"'
    ),
    Construct(
        "is the engine's own column list: name the columns",
        r"\*\s*(exclude|except|replace)\b|\bcolumns\s*\(",
    ),
    Construct(
        "reads patterns in one engine's grammar: parse it in a macro", r"\bregexp_\w+\s*\(|~"
    ),
)

UNGUARDED = {
    "int_value__outlooks": "the series' divisors (C + k)(k + 1) cannot be 0, as C > -1",
}
"""Models that divide by something that is neither nullif nor a number, and why they may."""

_DISPATCHED = re.compile(
    r"\{%-?\s*macro\s+(?:default|duckdb)__.*?\{%-?\s*endmacro\s*-?%\}", flags=re.DOTALL
)
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}", flags=re.DOTALL)
_EXPRESSION = re.compile(r"\{\{.*?\}\}", flags=re.DOTALL)
_SILENT = re.compile(r"--[^\n]*|'(?:[^'\n]|'')*'")


def written(text: str) -> str:
    """What an author wrote in SQL: Jinja, comments and texts blanked out, line by line as before.

    Args:
        text: a model or a file of macros; macros that an engine may replace are blanked out too.
    """
    for pattern in (_DISPATCHED, _JINJA, _EXPRESSION, _SILENT):
        text = pattern.sub(_blank, text)
    return text.lower()


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def constructs(text: str) -> Iterator[tuple[int, str]]:
    """Line and complaint of everything in a model or a macro file that is one engine's own."""
    sql = written(text)
    for construct in CONSTRUCTS:
        for match in re.finditer(construct.pattern, sql):
            line = sql.count("\n", 0, match.start()) + 1
            yield line, f"{match[0].strip(' (')} {construct.what}"


def compiled_complaints(name: str, sql: str) -> Iterator[str]:
    """What another engine would read otherwise in a compiled model."""
    trees = {}
    for dialect in DIALECTS:
        try:
            trees[dialect] = sqlglot.parse_one(sql, dialect=dialect)
        except SqlglotError as error:
            yield f"{dialect} cannot read it: {_first_line(error)}"
    if len(trees) < len(DIALECTS):
        return
    yield from _nulls(trees)
    if name not in UNGUARDED:
        yield from _divisions(trees["duckdb"])


def _first_line(error: SqlglotError) -> str:
    """An error without the terminal's colours and what surrounds the place."""
    return re.sub(r"\x1b\[\d+m", "", str(error)).splitlines()[0].strip()


def _nulls(trees: Mapping[str, exp.Expression]) -> Iterator[str]:
    orders = [trees[dialect].find_all(exp.Ordered) for dialect in DIALECTS]
    for ours, theirs in zip(*orders, strict=True):
        if bool(ours.args.get("nulls_first")) != bool(theirs.args.get("nulls_first")):
            yield f"order by {ours.this.sql('duckdb')}: nulls stand elsewhere in Spark; nulls last"


def _divisions(tree: exp.Expression) -> Iterator[str]:
    for division in tree.find_all(exp.Div):
        divisor = division.expression
        while isinstance(divisor, exp.Paren | exp.Cast):
            divisor = divisor.this
        if not isinstance(divisor, exp.Nullif | exp.Literal):
            yield f"{_short(division)}: Spark raises when it divides by zero; nullif(..., 0)"


def _short(expression: exp.Expression) -> str:
    text = expression.sql("duckdb")
    return text if len(text) <= 60 else f"{text[:57]}..."


def compiled(names: Iterable[str]) -> dict[str, str]:
    """The SQL of models as dbt compiles them, in memory.

    Raises:
        SystemExit: the project does not compile; says why.
    """
    from dbt.cli.main import dbtRunner

    project = ROOT / "dbt_project"
    os.environ[STAGED_VARIABLE] = staged_models(project)
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()) as out:
        folders = ["--project-dir", str(project), "--profiles-dir", str(project)]
        kept = ["--target-path", str(PARSED), "--log-path", scratch, "--log-level-file", "none"]
        outcome = dbtRunner().invoke(
            [
                "compile",
                "--select",
                *names,
                *folders,
                *kept,
                "--target",
                "memory",
                "--no-write-json",
            ]
        )
    if not outcome.success:
        raise SystemExit(f"{out.getvalue()}\nthe models do not compile: {outcome.exception}")
    return {one.node.name: one.node.compiled_code for one in outcome.result.results}


def content_keys(files: Iterable[Path]) -> dict[Path, str]:
    """For each model a digest of all that decides about it, these rules included."""
    rules = hashlib.sha256(Path(__file__).read_bytes() + version("sqlglot").encode()).hexdigest()
    keys = lint_sql.content_keys(ROOT, files)
    return {
        path: hashlib.sha256(f"{rules} {key}".encode()).hexdigest() for path, key in keys.items()
    }


def complaints(models: Iterable[Path]) -> dict[Path, list[str]]:
    """Complaints about each of ``models``, as lines that an editor follows."""
    sql = compiled(sorted(path.stem for path in models))
    found = {}
    for path in models:
        place = path.relative_to(ROOT)
        text = path.read_text(encoding="utf-8")
        found[path] = [f"{place}:{line}: {what}" for line, what in constructs(text)]
        found[path] += [
            f"{place}:1: {what}" for what in compiled_complaints(path.stem, sql[path.stem])
        ]
    return found


def main() -> int:
    """Command line; 1 when something would not mean the same elsewhere."""
    models = sorted((ROOT / "dbt_project" / "models").rglob("*.sql"))
    macros = sorted((ROOT / "dbt_project" / "macros").rglob("*.sql"))
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in macros
        for line, what in constructs(path.read_text(encoding="utf-8"))
    ]
    keys = content_keys(models)
    known = CLEAN.read_text(encoding="ascii").split() if CLEAN.exists() else []
    seen = set(known)
    if changed := [path for path in models if keys[path] not in seen]:
        found = complaints(changed)
        lint_sql.remember(known, [keys[path] for path in changed if not found[path]], CLEAN)
        lines += [line for path in changed for line in found[path]]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())

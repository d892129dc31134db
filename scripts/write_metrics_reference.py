"""Write docs/reference/metrics.md and seed dim_metrics from the marts' yml; a test keeps them so.

A column is told by its ``description`` and by ``label_zh``, ``unit`` and ``formula`` of its meta;
a mart by its description, whose first sentence is the grain, and by ``owner`` of its meta, which
a folder of marts may have for all (dbt_project.yml). What a name tells by the rules of names needs
no unit of its own.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "dbt_project"
PAGE = ROOT / "docs" / "reference" / "metrics.md"
SEED = PROJECT / "seeds" / "dim_metrics.csv"

HEAD = """\
# Metrics

<!-- Written by `make docs` from the yml files of dbt_project/models/marts; change it there. -->

Every column of every published mart: what it means, in which unit, how it is worked out where it is
a ratio, and who answers for it. The published file has the same as table `dim_metrics`, with the
hash of each definition: a figure whose hash is the same has not changed its meaning.

Amounts are in the currency of their row and never added across currencies. A rate, a share and a
probability go from 0 to 1, a percentage from 0 to 100. Dates are days of the shop, instants UTC.
Averages are null where there is nothing to divide by; counts and sums are 0.
"""

TYPES = {
    "uuid": "key",
    "varchar": "text",
    "boolean": "true or false",
    "date": "day",
    "timestamp": "instant (UTC)",
}
"""Units of columns that are no figures, by their type."""

NAMES = (
    (r".*_(rate|share|probability|coefficient)", "share, 0 to 1"),
    (r"(.*_)?amount(_.*)?|.*_(price|value)", "amount in the row's currency"),
    (r".*_quantity|quantity", "pieces"),
    (r"(.*_)?days(_.*)?|.*_last_day", "days"),
    (r".*_pct", "per cent, 0 to 100"),
    (r".*_permille", "per thousand"),
    (r".*_score", "score"),
    (r".*_bit", "0 or 1"),
    (r".*_rating", "rating, 0 to 5"),
    (r"level_.*|.*_level", "level"),
    (r".*version|_line|line_no", "number"),
    (r".*_rank", "rank, 1 is first"),
    (r"points?(_.*)?|.*_points?|.*_point_count", "points"),
    (r"(.*_)?orders(_.*)?", "orders"),
    (r"(.*_)?(expected_)?members(_.*)?|.*_nones", "members"),
    *(
        (rf"(.*_)?{noun}_count", f"{noun}s")
        for noun in (
            *("member", "customer", "buyer", "visitor", "order", "order_line", "item", "day"),
            *("message", "click", "contact", "gap", "lot", "occasion", "product", "refund", "line"),
        )
    ),
    (r".*_count", "count"),
)
"""What the names of figures tell of their unit; the first that fits."""

NEEDS_FORMULA = r".*_(rate|share|ratio|coefficient|probability)|.*average_amount"
"""Figures that are worked out from others, and say how."""


class MetricError(Exception):
    """A column does not say enough; names the column and what is missing."""


@dataclass(frozen=True)
class Metric:
    """One column of a published mart, as a row of dim_metrics."""

    table_name: str
    column_name: str
    label_zh: str
    definition: str
    formula: str
    unit: str
    grain: str
    owner: str
    data_type: str

    @property
    def definition_hash(self) -> str:
        """First 12 hex digits of the SHA-256 of all that gives the figure its meaning."""
        meaning = "\n".join(astuple(self))
        return hashlib.sha256(meaning.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Mart:
    """One published table with its columns in their order."""

    name: str
    description: str
    owner: str
    metrics: tuple[Metric, ...]


def read_marts(project: Path = PROJECT) -> list[Mart]:
    """Every mart of a dbt project, by name.

    Raises:
        MetricError: a mart has no owner, or a column no label, unit or formula.
    """
    texts = _shared_texts(project)
    owners = _owners_of_folders(project)
    marts = []
    for path in sorted((project / "models" / "marts").rglob("*.yml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for model in document.get("models") or ():
            owner = _meta(model).get("owner") or owners.get(path.parent.name) or owners.get("marts")
            if not owner:
                raise MetricError(f"{model['name']} has no owner; give it one in {path.name}")
            marts.append(_mart(model, str(owner), texts))
    return sorted(marts, key=lambda mart: mart.name)


def _mart(model: Mapping[str, Any], owner: str, texts: Mapping[str, str]) -> Mart:
    description = _plain(model["description"], texts)
    grain = re.split(r"(?<=[^.]{3})[.:;](?=\s|$)", description, maxsplit=1)[0]
    metrics = []
    for column in model["columns"]:
        meta = _meta(column)
        where = f"{model['name']}.{column['name']}"
        formula = str(meta.get("formula", ""))
        if not meta.get("label_zh"):
            raise MetricError(f"{where} has no label_zh")
        if not formula and re.fullmatch(NEEDS_FORMULA, column["name"]):
            raise MetricError(f"{where} is a ratio: say how it is worked out in meta.formula")
        metrics.append(
            Metric(
                table_name=model["name"],
                column_name=column["name"],
                label_zh=str(meta["label_zh"]),
                definition=_plain(column["description"], texts),
                formula=formula,
                unit=str(meta.get("unit") or _unit(where, column["name"], column["data_type"])),
                grain=grain,
                owner=owner,
                data_type=str(column["data_type"]),
            )
        )
    return Mart(model["name"], description, owner, tuple(metrics))


def _unit(where: str, name: str, data_type: str) -> str:
    if data_type in TYPES:
        return TYPES[data_type]
    for pattern, unit in NAMES:
        if re.fullmatch(pattern, name):
            return unit
    raise MetricError(f"{where}: its name tells no unit; say it in meta.unit")


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return (node.get("config") or {}).get("meta") or {}


def _plain(text: str, texts: Mapping[str, str]) -> str:
    """A description in one line, with what it takes from the shared texts."""
    whole = re.sub(r"\{\{\s*doc\(['\"](\w+)['\"]\)\s*\}\}", lambda m: texts[m.group(1)], text)
    return " ".join(whole.split())


def _shared_texts(project: Path) -> dict[str, str]:
    text = (project / "models" / "shared_columns.md").read_text(encoding="utf-8")
    blocks = re.findall(r"\{% docs (\w+) %\}(.*?)\{% enddocs %\}", text, flags=re.S)
    return {name: body.strip() for name, body in blocks}


def _owners_of_folders(project: Path) -> dict[str, str]:
    document = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8"))
    marts = document["models"][document["name"]]["marts"]
    folders = {"marts": marts, **{k: v for k, v in marts.items() if isinstance(v, dict)}}
    return {
        name: str(config["+meta"]["owner"])
        for name, config in folders.items()
        if "owner" in (config.get("+meta") or {})
    }


def render_page(marts: list[Mart]) -> str:
    """The whole page."""
    return HEAD + "".join(part for mart in marts for part in _section(mart))


def _section(mart: Mart) -> Iterator[str]:
    yield f"\n## {mart.name}\n\n{mart.description}\n\nOwner: {mart.owner}.\n\n"
    yield "| column | 中文 | unit | meaning |\n|---|---|---|---|\n"
    for metric in mart.metrics:
        formula = f" Formula: `{metric.formula}`." if metric.formula else ""
        meaning = metric.definition + formula
        cells = (f"`{metric.column_name}`", metric.label_zh, metric.unit, meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def render_seed(marts: list[Mart]) -> str:
    """The seed as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(field.name for field in fields(Metric)), "definition_hash"])
    for mart in marts:
        for metric in mart.metrics:
            writer.writerow([*astuple(metric), metric.definition_hash])
    return out.getvalue()


if __name__ == "__main__":
    found = read_marts()
    PAGE.write_text(render_page(found), encoding="utf-8")
    SEED.write_text(render_seed(found), encoding="utf-8")

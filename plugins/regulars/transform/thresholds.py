"""Refuses seeds of thresholds that leave a gap, overlap or misspell, before any model reads them.

A contract sees types only: a window that ends before it begins, two bands from one amount or a
triple of scores without a segment would make wrong figures in silence.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import pairwise, product
from pathlib import Path

from regulars.errors import ConfigError

ACTIVITY_STAGES = ("active", "silent", "lost")
COUNT_STAGES = ("prospect", "new", "returning", "loyal", "fan")
CELLS = (
    "prospect",
    *(f"{count}_{activity}" for count in COUNT_STAGES[1:] for activity in ACTIVITY_STAGES),
    "dead",
)
SCORES = range(1, 6)
SWITCHES = {
    "frequency_grain": ("order", "day"),
    "same_day_merge": ("yes", "no"),
    "cut_method": ("interpolated", "lower_rank"),
    "cohort_grain": ("month", "week"),
}
"""Switches of seed metric_parameters, and what each may say."""

_RFM_LIMITS = ("rfm_window_days", "rfm_min_buyers", "rfm_min_history_days")

WHOLE_NUMBERS = (
    "cycle_horizon_days",
    "cycle_median_min_gaps",
    "cycle_tail_min_gaps",
    "cycle_fallback_days",
    "cycle_grace_days",
    "cycle_quantity_cap",
    "cycle_silent_factor",
    "cycle_lost_factor",
    "personal_min_gaps",
    "loyalty_min_orders",
    "loyalty_high_min_reviews",
    "good_min_orders",
    "costly_min_demands",
    "costly_max_groups",
    "sleeper_min_orders",
    "reactivated_days",
    "churn_silence_days",
    "abandon_failed_sends",
    "abandon_wait_days",
)
NUMBERS = (
    "full_price_discount_share",
    "discounted_order_share",
    "loyalty_high_full_price_share",
    "loyalty_price_discount_share",
    "loyalty_inertia_gap_variation",
    "loyalty_inertia_group_share",
    "refund_service_cost",
    "contact_service_cost",
    "good_full_price_share",
    "good_max_demand_share",
    "costly_cost_share",
    "newcomer_median_share",
)


@dataclass(frozen=True)
class _Row:
    path: Path
    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]

    def refuse(self, what: str, next_step: str) -> ConfigError:
        return ConfigError(what, where=f"{self.path}:{self.line}", next_step=next_step)

    def whole(self, column: str, at_least: int = 0) -> int:
        text = self[column].strip()
        if not text.isascii() or not text.isdigit() or int(text) < at_least:
            raise self.refuse(
                f"{column} is {text!r}", f"write a whole number of at least {at_least}"
            )
        return int(text)

    def number(self, column: str) -> Decimal:
        try:
            found = Decimal(self[column].strip())
        except InvalidOperation:
            found = Decimal(-1)
        if not found.is_finite() or found < 0:
            raise self.refuse(
                f"{column} is {self[column]!r}", "write a number that is not negative"
            )
        return found

    def one_of(self, column: str, allowed: tuple[str, ...]) -> str:
        if self[column] not in allowed:
            raise self.refuse(
                f"{column} is {self[column]!r}", f"write one of: {', '.join(allowed)}"
            )
        return self[column]

    def day(self, column: str) -> date:
        try:
            return date.fromisoformat(self[column].strip())
        except ValueError:
            raise self.refuse(f"{column} is {self[column]!r}", "write a date, YYYY-MM-DD") from None


def check_thresholds(seeds: Path) -> None:
    """Refuse the first seed of thresholds below ``seeds`` that does not hold together.

    Raises:
        ConfigError: names file and line, what is wrong with it and what to write instead.
    """
    for name, check in _CHECKS.items():
        path = seeds / f"{name}.csv"
        rows = list(_rows(path))
        if not rows:
            raise ConfigError(
                "the seed holds no row", where=f"{path}:1", next_step="restore it from the history"
            )
        check(rows)


def _rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            for fields in reader:
                row = _Row(path, reader.line_num, dict(zip(header, fields, strict=False)))
                if len(fields) != len(header):
                    raise row.refuse(
                        f"the row has {len(fields)} fields, the header {len(header)}",
                        "write every field, in quotes where it holds a comma",
                    )
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"the seed cannot be read: {error}", where=str(path), next_step="mend the file"
        ) from error


def _by(rows: list[_Row], key: Callable[[_Row], str]) -> dict[str, list[_Row]]:
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _once_each(rows: list[_Row], column: str, wanted: tuple[str, ...]) -> dict[str, _Row]:
    """Every one of ``wanted`` in exactly one row."""
    found: dict[str, _Row] = {}
    for row in rows:
        name = row.one_of(column, wanted)
        if name in found:
            raise row.refuse(
                f"{column} {name!r} stands in line {found[name].line} already",
                "remove one of the two",
            )
        found[name] = row
    missing = [name for name in wanted if name not in found]
    if missing:
        raise rows[-1].refuse(f"{column} {missing[0]!r} is missing", "add its row")
    return found


def _rising(rows: list[_Row], column: str, values: list[Decimal]) -> None:
    for (_, lower), (row, upper) in pairwise(zip(rows, values, strict=True)):
        if upper <= lower:
            raise row.refuse(
                f"{column} {upper} overlaps {lower} of the row before",
                "let it be greater than the one before",
            )


def _check_windows(rows: list[_Row]) -> None:
    for version in _by(rows, lambda row: row.day("valid_from").isoformat()).values():
        stages = _once_each(version, "activity_stage", ACTIVITY_STAGES)
        ordered = [stages[name] for name in ACTIVITY_STAGES]
        _check_ranks(ordered, "stage_rank")
        _rising(ordered, "last_day", [Decimal(row.whole("last_day")) for row in ordered])


def _check_ranks(rows: list[_Row], column: str) -> None:
    for rank, row in enumerate(rows, start=1):
        if row.whole(column) != rank:
            raise row.refuse(f"{column} is {row[column]}, but its place is {rank}", f"write {rank}")


def _check_count_stages(rows: list[_Row]) -> None:
    for version in _by(rows, lambda row: row.day("valid_from").isoformat()).values():
        stages = _once_each(version, "count_stage", COUNT_STAGES)
        ordered = [stages[name] for name in COUNT_STAGES]
        _check_ranks(ordered, "stage_rank")
        for row in ordered:
            row.one_of("needs_advocacy", ("true", "false"))
        counts = ordered[:-1]
        _rising(
            counts, "min_valid_orders", [Decimal(row.whole("min_valid_orders")) for row in counts]
        )
        # Whoever has ordered is something: between prospect and new nothing is left out.
        if stages["prospect"].whole("min_valid_orders") != 0:
            raise stages["prospect"].refuse("a prospect needs an order", "write 0")
        if stages["new"].whole("min_valid_orders") != 1:
            raise stages["new"].refuse("members with fewer orders have no stage", "write 1")
        stages["fan"].whole("min_valid_orders", at_least=1)


def _check_actions(rows: list[_Row]) -> None:
    groups = ("prospect", "new", "returning", "dormant_lost")
    for row in _once_each(rows, "cell_code", CELLS).values():
        row.one_of("customer_group", groups)
        row.one_of("allows_ordinary_sms", ("true", "false"))


def _check_aov_bands(rows: list[_Row]) -> None:
    for bands in _by(rows, lambda row: row["currency"]).values():
        _once_each(bands, "band", tuple({row["band"]: None for row in bands}))
        _check_ranks(bands, "band_rank")
        amounts = [row.number("lower_amount") for row in bands]
        for row in bands:
            row.one_of("is_lower_included", ("true", "false"))
        if amounts[0] != 0 or bands[0]["is_lower_included"] != "true":
            raise bands[0].refuse(
                f"amounts below {amounts[0]} have no band", "let the first band include 0"
            )
        _rising(bands, "lower_amount", amounts)


def _check_frequency_cuts(rows: list[_Row]) -> None:
    scores = _once_each(rows, "frequency_score", tuple(map(str, SCORES)))
    ordered = [scores[str(score)] for score in SCORES]
    if ordered[0].whole("min_orders") != 0:
        raise ordered[0].refuse("members without orders in the window have no score", "write 0")
    _rising(ordered, "min_orders", [Decimal(row.whole("min_orders")) for row in ordered])


def _check_classes(rows: list[_Row]) -> None:
    bits = ("recency_bit", "frequency_bit", "monetary_bit")
    seen: dict[tuple[str, ...], _Row] = {}
    for row in rows:
        triple = tuple(row.one_of(bit, ("0", "1")) for bit in bits)
        if triple in seen:
            raise row.refuse(
                f"R, F, M {triple} stand in line {seen[triple].line} already",
                "remove one of the two",
            )
        seen[triple] = row
    missing = [triple for triple in product("01", repeat=3) if triple not in seen]
    if missing:
        raise rows[-1].refuse(f"R, F, M {missing[0]} have no class", "add the row")


def _check_segments(rows: list[_Row]) -> None:
    for name, boxes in _by(rows, lambda row: row["segment_set"]).items():
        covered: dict[tuple[int, ...], _Row] = {}
        for row in boxes:
            row.one_of("scoring", ("fixed_frequency", "quintiles"))
            if row["scoring"] != boxes[0]["scoring"]:
                raise row.refuse(
                    f"set {name!r} is scored otherwise in line {boxes[0].line}",
                    "let a set have one scoring",
                )
            for triple in _triples(row):
                if triple in covered:
                    raise row.refuse(
                        f"R, F, M {triple} of set {name!r} lie in line {covered[triple].line} too",
                        "let every triple of scores lie in one box",
                    )
                covered[triple] = row
        missing = [triple for triple in product(SCORES, repeat=3) if triple not in covered]
        if missing:
            raise boxes[-1].refuse(
                f"R, F, M {missing[0]} and {len(missing) - 1} more triples have no segment in set "
                f"{name!r}",
                "add a box for them",
            )


def _triples(row: _Row) -> Iterator[tuple[int, ...]]:
    spans = []
    for score in ("recency", "frequency", "monetary"):
        lowest, highest = row.whole(f"{score}_min", 1), row.whole(f"{score}_max", 1)
        if highest > max(SCORES) or lowest > highest:
            raise row.refuse(
                f"{score} goes from {lowest} to {highest}", "write scores from 1 to 5, least first"
            )
        spans.append(range(lowest, highest + 1))
    return product(*spans)


def _check_switches(rows: list[_Row]) -> None:
    names: dict[str, _Row] = {}
    for row in rows:
        if row["name"] in names:
            raise row.refuse(
                f"{row['name']} stands in line {names[row['name']].line} already",
                "remove one of the two",
            )
        names[row["name"]] = row
    for name in (*SWITCHES, *_RFM_LIMITS, "rfm_segment_set"):
        if name not in names:
            raise rows[-1].refuse(f"switch {name!r} is missing", "add its row")
    for name, allowed in SWITCHES.items():
        names[name].one_of("value", allowed)
    for name in _RFM_LIMITS:
        names[name].whole("value", at_least=1)
    segments = rows[0].path.with_name("rfm_segments.csv")
    sets = tuple({row["segment_set"]: None for row in _rows(segments)})
    names["rfm_segment_set"].one_of("value", sets)


def _check_parameters(rows: list[_Row]) -> None:
    for row in _once_each(rows, "name", (*WHOLE_NUMBERS, *NUMBERS)).values():
        if row["name"] in WHOLE_NUMBERS:
            row.whole("value")
        else:
            row.number("value")


_CHECKS: dict[str, Callable[[list[_Row]], None]] = {
    "lifecycle_windows": _check_windows,
    "count_stages": _check_count_stages,
    "lifecycle_actions": _check_actions,
    "lifecycle_parameters": _check_parameters,
    "aov_bands": _check_aov_bands,
    "rfm_frequency_cuts": _check_frequency_cuts,
    "rfm_classes": _check_classes,
    "rfm_segments": _check_segments,
    "metric_parameters": _check_switches,
}

"""The gates: severities decide, a check that cannot run is critical, nothing personal is shown."""

import json

import duckdb
import pytest
import yaml

from regulars.errors import ConfigError, GateFailed
from regulars.quality import gate
from regulars.quality.gate import (
    _raised,
    read_suites,
    validate_landing,
    validate_tables,
    write_report,
)
from regulars.settings import Settings

NOT_NULL = {
    "type": "expect_column_values_to_not_be_null",
    "kwargs": {"column": "amount"},
    "severity": "critical",
    "notes": "an order without amount",
}
NOT_NEGATIVE = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "amount", "min_value": 0},
    "severity": "warning",
}
ROWS = {
    "type": "expect_table_row_count_to_be_between",
    "kwargs": {"min_value": 1},
    "severity": "critical",
}
NO_PHONE = {
    "type": "unexpected_rows_expectation",
    "kwargs": {
        "unexpected_rows_query": (
            "select note from {batch} where regexp_matches(note, '1[3-9][0-9]{{9}}')"
        )
    },
    "severity": "critical",
}


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", expectations_dir=tmp_path / "expectations")


def expect(settings, boundary, table, *entries):
    folder = settings.expectations_dir / boundary
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table}.yml").write_text(yaml.safe_dump({"expectations": list(entries)}))


def check_marts(settings, rows):
    path = settings.data_dir / "marts.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table fct_orders (amount decimal(18,2), note varchar)")
        for row in rows:
            connection.execute("insert into fct_orders values (?, ?)", row)
    return validate_tables(
        settings, gate="marts", database=path, tables={"fct_orders": "main.fct_orders"}
    )


def test_good_tables_pass(settings):
    expect(settings, "marts", "fct_orders", NOT_NULL, NOT_NEGATIVE, ROWS, NO_PHONE)
    verdict = check_marts(settings, [("1.00", "ok"), ("0.00", "ok")])
    assert (verdict.passed, verdict.checked, verdict.findings) == (True, 4, [])
    assert verdict.require() is verdict


def test_a_critical_expectation_fails_the_gate_and_is_named(settings):
    expect(settings, "marts", "fct_orders", NOT_NEGATIVE, ROWS, NOT_NULL)
    verdict = check_marts(settings, [("1.00", "a"), (None, "b")])
    with pytest.raises(GateFailed) as caught:
        verdict.require()
    assert "expect_column_values_to_not_be_null failed on fct_orders.amount" in str(caught.value)
    assert "an order without amount" in str(caught.value)
    assert "Yesterday's marts stay published" in caught.value.next_step


def test_a_warning_is_reported_and_passes(settings):
    expect(settings, "marts", "fct_orders", NOT_NEGATIVE, ROWS)
    verdict = check_marts(settings, [("-1.00", "a")])
    assert verdict.passed
    assert [finding.severity for finding in verdict.findings] == ["warning"]
    report = json.loads(write_report(settings, "night-20171001", verdict).read_text())
    assert (report["passed"], len(report["findings"])) == (True, 1)


def test_an_expectation_that_cannot_run_is_critical_whatever_its_severity(settings):
    broken = {**NOT_NEGATIVE, "kwargs": {"column": "no_such_column", "min_value": 0}}
    expect(settings, "marts", "fct_orders", broken)
    verdict = check_marts(settings, [("1.00", "a")])
    assert [finding.severity for finding in verdict.findings] == ["critical"]
    assert "could not run" in verdict.findings[0].observed


def test_findings_never_show_the_records(settings):
    expect(settings, "marts", "fct_orders", NO_PHONE)
    verdict = check_marts(settings, [("1.00", "call 13912345678")])
    assert not verdict.passed
    assert "13912345678" not in str(verdict)


def test_a_suite_for_a_missing_table_is_critical(settings):
    expect(settings, "marts", "fct_refunds", ROWS)
    verdict = check_marts(settings, [])
    assert [finding.table for finding in verdict.critical] == ["fct_refunds"]


def landed(tmp_path, name, *records):
    path = tmp_path / f"{name}.ndjson"
    path.write_text("\n".join(json.dumps(record) for record in records))
    return path


def test_records_beyond_memory_are_written_aside_for_each_table(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "_LARGEST_RECORD_BYTES", 1 << 20)
    settings = settings.model_copy(update={"duckdb_memory_limit": "64MB", "duckdb_threads": 1})
    for table in ("orders", "refunds"):
        expect(settings, "landing", table, NOT_NULL)
    # Twice what the engine may keep.
    wide = [{"amount": n, "text": f"{n * 7919:0400d}"} for n in range(150_000)]
    files = {
        "orders": [landed(tmp_path, "orders", *wide)],
        "refunds": [landed(tmp_path, "refunds", {"amount": None})],
    }
    verdict = validate_landing(settings, files)
    assert [(finding.table, finding.observed) for finding in verdict.findings] == [
        ("refunds", "1 unexpected of 1")
    ]


def test_a_field_that_changes_its_type_late_is_still_one_column(settings, tmp_path):
    expect(settings, "landing", "orders", NOT_NULL)
    records = [*({"amount": n} for n in range(21_000)), {"amount": "13800001111x"}]
    verdict = validate_landing(settings, {"orders": [landed(tmp_path, "orders", *records)]})
    assert verdict.passed
    assert verdict.checked == 1


def test_records_that_are_no_table_fail_the_gate_without_their_values(settings, tmp_path):
    expect(settings, "landing", "orders", NOT_NULL)
    expect(settings, "landing", "refunds", NOT_NULL)
    broken = landed(tmp_path, "orders", {"amount": 1})
    broken.write_text('{"amount": 1}\n{"phone": "13800001111"')
    verdict = validate_landing(
        settings,
        {"orders": [broken], "refunds": [landed(tmp_path, "refunds", {"amount": None})]},
    )
    assert [finding.table for finding in verdict.findings] == ["orders", "refunds"]
    with pytest.raises(GateFailed, match=r"cannot be read as one table \(orders.ndjson") as caught:
        verdict.require()
    assert "13800001111" not in str(caught.value)
    assert "withdraw" in caught.value.next_step


def test_what_an_expectation_raised_is_told_without_quoted_values():
    said = 'Conversion Error: Could not convert string "13800001111x" to INT64 when casting'
    told = _raised({"raised_exception": True, "exception_message": said})
    assert "13800001111" not in told
    assert "Could not convert string" in told


def test_landing_batches_are_checked_together_with_detected_columns(settings, tmp_path):
    one, two = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    one.write_text('{"_line": 1, "tid": "9007199254740993"}\n')
    two.write_text('{"_line": 1, "tid": "9007199254740995", "surprise": "x"}\n')
    expect(
        settings,
        "landing",
        "taobao_top__orders",
        {**ROWS, "kwargs": {"min_value": 2, "max_value": 2}},
        {
            "type": "expect_column_to_exist",
            "kwargs": {"column": "surprise"},
            "severity": "critical",
        },
    )
    verdict = validate_landing(settings, {"taobao_top__orders": [one, two]})
    assert (verdict.passed, verdict.checked) == (True, 2)
    assert validate_landing(settings, {}).checked == 0


@pytest.mark.parametrize(
    "entry", [{"kwargs": {}, "severity": "critical"}, {"type": "x", "severity": "fatal"}]
)
def test_a_malformed_expectation_is_refused_with_its_file(settings, entry):
    expect(settings, "marts", "fct_orders", entry)
    with pytest.raises(ConfigError, match=r"fct_orders\.yml"):
        read_suites(settings.expectations_dir, "marts")


def test_an_expectation_file_that_is_no_yaml_is_refused_with_its_line(settings):
    folder = settings.expectations_dir / "marts"
    folder.mkdir(parents=True)
    (folder / "fct_orders.yml").write_text("expectations:\n- type: a: b\n")
    with pytest.raises(ConfigError, match=r"fct_orders\.yml:2"):
        read_suites(settings.expectations_dir, "marts")

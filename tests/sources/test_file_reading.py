"""Reading dropped files: encodings, headers, cells, and files that must be refused as a whole."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regulars.sources.file import reading
from regulars.sources.file.contract import CONTRACT
from regulars.sources.file.reading import UnreadableFile, read_chunks
from regulars.sources.headers import normal_name

STORES = CONTRACT["stores"]
REFUNDS = CONTRACT["refunds"]
HEADER = "store_id,name,city"


def read(path: Path, stream: str = "stores") -> list[tuple[int, dict[str, Any]]]:
    kind = path.suffix.removeprefix(".")
    found: list[tuple[int, dict[str, Any]]] = []
    for chunk in read_chunks(path, kind, CONTRACT[stream]):
        found += [
            (line, dict(r.payload) if not r.defect else {"!": r.defect})
            for line, r in chunk.records()
        ]
    return sorted(found, key=lambda one: one[0])


def csv_file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "stores.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
def test_encodings_are_told_apart(tmp_path: Path, encoding: str) -> None:
    path = csv_file(tmp_path, f"{HEADER}\n1,一号店,上海\n", encoding)
    assert read(path) == [(1, {"store_id": "1", "name": "一号店", "city": "上海"})]


def test_gb18030_beyond_the_first_block_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BLOCK", 16)
    text = f"{HEADER}\n" + "1,plain,x\n" * 20 + "2,漢字\U0002a6d6,上海\n"
    path = csv_file(tmp_path, text, "gb18030")
    assert read(path)[-1][1]["name"] == "漢字\U0002a6d6"


def test_a_character_across_two_blocks_is_still_utf8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BLOCK", 7)
    path = csv_file(tmp_path, f"{HEADER}\n1,一二三四五六七,上海\n")
    assert reading.detect_encoding(path) == "utf-8-sig"


def test_text_in_no_known_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stores.csv"
    path.write_bytes(b"\xff\xfes\x00t\x00")
    with pytest.raises(UnreadableFile, match="neither UTF-8 nor GB18030"):
        read(path)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (" Store_ID ", "store_id"),
        ("\ufeffstore_id", "store_id"),
        ("store id", "store_id"),
        ("Store-Id", "store_id"),
        ('="store_id"', "store_id"),
        ("邮费（元）", "邮费(元)"),
        ("联系电话 ", "联系电话"),
        (None, ""),
    ],
)
def test_header_cells_are_normalised(cell: object, name: str) -> None:
    assert normal_name(cell) == name


def test_what_stands_above_the_header_is_skipped(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "店铺导出\n\n2017-10-01,,\n Store ID ,name,city,,\n1,A,B,,\n")
    assert read(path) == [(1, {"store_id": "1", "name": "A", "city": "B"})]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no header row"),
        ("\n" * 5, "no header row"),
        ("name,city\n1,2\n", "no header row with the column store_id"),
        ("store_id,name,name\n1,2,3\n", "the column name stands there twice"),
        ("store_id,13800001111,13800001111\n", r"\(not in the contract\) stands there twice"),
        (f'{HEADER}\n1,A,B\n2,"open', "a quoted cell does not end"),
        (f'{HEADER}\n1,A,"{"x" * 140_000}', "a quoted cell does not end"),
        (f"{HEADER}\n1,A,B\n2,C", "cut in the middle of its last record"),
    ],
)
def test_files_that_cannot_be_trusted_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason) as caught:
        read(csv_file(tmp_path, text))
    assert "13800001111" not in caught.value.reason


def test_missing_required_columns_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "refunds.csv"
    path.write_text("refund_id,order_id,status\n1,2,requested\n")
    with pytest.raises(UnreadableFile, match="missing: created_at, refund_amount"):
        read(path, "refunds")


def test_a_complete_last_line_needs_no_newline(tmp_path: Path) -> None:
    assert len(read(csv_file(tmp_path, f"{HEADER}\n1,A,B\n2,C,D"))) == 2


def test_a_header_alone_is_an_empty_file(tmp_path: Path) -> None:
    assert read(csv_file(tmp_path, f"{HEADER}\n")) == []


def test_a_row_of_another_width_costs_only_itself(tmp_path: Path) -> None:
    path = csv_file(tmp_path, f'{HEADER}\n1,A,B\n2,C\n3,"D"x,E\n4,F,G,H\n,,\n5,"I\nJ",K,,\n')
    assert read(path) == [
        (1, {"store_id": "1", "name": "A", "city": "B"}),
        (2, {"!": "2 cells where the header has 3"}),
        (3, {"!": "not valid CSV"}),
        (4, {"!": "4 cells where the header has 3"}),
        (5, {"store_id": "5", "name": "I\nJ", "city": "K"}),
    ]


def test_lines_go_on_from_chunk_to_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_ROWS", 3)
    rows = [f"{number},A,B" if number != 4 else "4" for number in range(1, 11)]
    path = csv_file(tmp_path, HEADER + "\n" + "\n".join(rows) + "\n")
    found = read(path)
    assert [line for line, _ in found] == list(range(1, 11))
    assert [line for line, record in found if "!" in record] == [4]
    table = pa.table({"store_id": [str(number) for number in range(7)]})
    pq.write_table(table, tmp_path / "stores.parquet")
    assert [line for line, _ in read(tmp_path / "stores.parquet")] == list(range(1, 8))


def test_parquet_types_come_without_loss(tmp_path: Path) -> None:
    at = datetime(2017, 10, 1, 8, 5, 9)  # noqa: DTZ001 - the shop's wall clock
    table = pa.table(
        {
            "Refund_ID": pa.array([2**63 - 1], pa.int64()),
            "order_id": pa.array(["1"]).dictionary_encode(),
            "status": pa.array(["succeeded"], pa.large_string()),
            "created_at": pa.array([at], pa.timestamp("ns")),
            "modified_at": pa.array([at], pa.timestamp("ms", "Asia/Shanghai")),
            "refund_amount": pa.array([Decimal("12.50")], pa.decimal128(18, 2)),
            "is_return_goods": pa.array([True]),
            "reason": pa.array([None], pa.null()),
            "extra": pa.array([{"a": 1}]),
            "bytes": pa.array([b"text"]),
        }
    )
    pq.write_table(table, tmp_path / "refunds.parquet")
    ((line, record),) = read(tmp_path / "refunds.parquet", "refunds")
    assert line == 1
    values = REFUNDS.check(record).values
    assert values == {
        "refund_id": "9223372036854775807",
        "order_id": "1",
        "status": "succeeded",
        "created_at": "2017-10-01 08:05:09",
        "modified_at": "2017-10-01 16:05:09+08:00",
        "refund_amount": "12.50",
        "is_return_goods": "true",
    }
    assert REFUNDS.check(record).unknown == {"extra": '{"a": 1}', "bytes": "text"}


def test_a_nested_column_under_a_known_name_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"store_id": ["1"], "name": [["A"]]}), tmp_path / "stores.parquet")
    with pytest.raises(UnreadableFile, match="name: a nested column"):
        read(tmp_path / "stores.parquet")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_half_written_parquet_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "stores.parquet"
    pq.write_table(pa.table({"store_id": [str(number) for number in range(1000)]}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableFile, match="not a complete Parquet file"):
        read(path)


def xlsx_file(folder: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    path = folder / "stores.xlsx"
    book.save(path)
    return path


def test_spreadsheet_cells_become_text(tmp_path: Path) -> None:
    opened = datetime(2017, 1, 5)  # noqa: DTZ001 - a cell has no zone
    rows = [
        ["导出", None, None],
        ["Store ID", "name", "opened_on"],
        ["1234567890123456789", 12.5, opened],
        ["'007", True, "2017/1/5"],
        [None, None, None],
        [42.0, "#N/A", None],
        [1.2345678901234568e18, "x", None],
    ]
    found = read(xlsx_file(tmp_path, rows))
    checked = [STORES.check(record) for _, record in found]
    assert [one.values for one in checked] == [
        {"store_id": "1234567890123456789", "name": "12.5", "opened_on": "2017-01-05"},
        {"store_id": "007", "name": "true", "opened_on": "2017-01-05"},
        {"store_id": "42"},
        {"name": "x"},
    ]
    assert checked[3].reasons == [
        "store_id: scientific notation: digits are lost; deliver it as text"
    ]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_half_written_spreadsheet_is_refused(tmp_path: Path, share: float) -> None:
    path = xlsx_file(tmp_path, [["store_id"], *([str(number)] for number in range(500))])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableFile, match=r"XLSX|cut"):
        read(path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    for suffix in ("parquet", "xlsx"):
        path = tmp_path / f"stores.{suffix}"
        path.write_text(f"{HEADER}\n1,A,B\n")
        with pytest.raises(UnreadableFile):
            read(path)


def test_a_back_offices_own_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "daily.csv"
    path.write_text(
        "统计日期,访客数,PC端访客数,客单价,老访客数占比,描述相符评分\n"
        '2017-10-01,"1,204",310,¥29.49,35.2%,4.8\n',
        encoding="gb18030",
    )
    (chunk,) = read_chunks(path, "csv", CONTRACT["business_daily"])
    ((_, record),) = chunk.records()
    checked = CONTRACT["business_daily"].check(record.payload)
    assert checked.reasons == []
    assert checked.values == {
        "date": "2017-10-01",
        "visitors": "1204",
        "pc_visitors": "310",
        "spend_per_buyer_amount": "29.49",
        "returning_visitor_pct": "35.2",
        "description_rating": "4.8",
    }


def test_the_business_advisor_has_its_twenty_figures() -> None:
    fields = CONTRACT["business_daily"].fields[1:]
    assert len({field.name for field in fields}) == 20
    assert all(field.aliases and field.note for field in fields)

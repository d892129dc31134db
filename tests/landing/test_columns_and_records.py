"""A file's records land the same, whether they are checked as columns or one by one."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars.landing.batches import BatchWriter, Origin, Place, read_batch
from regulars.landing.writing import ColumnLanding, quarantine_defect, write_records
from regulars.records import BatchManifest, Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.file.contract import CONTRACT
from regulars.sources.file.reading import read_chunks
from regulars.sources.file.source import FileSource
from regulars.vault import Vault
from tests.landing.conftest import DAY, FixedClock
from tests.landing.files import quarantined

NAMES = (
    "member_id",
    "buyer_id",
    "enrolled_at",
    "phone",
    "birthday",
    "sms_consent",
    "is_employee",
    "mobile2",
    "x",
)
MODEL = CONTRACT["members"]

cells = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "1",
            '="42"',
            "1.2E+18",
            "13800001111",
            "138****1111",
            "call 13800001111",
            "a@example.com",
            "2017-10-01",
            "2017-02-30",
            "2017-10-01 08:00:00",
            "granted",
            "maybe",
            "true",
            "AA+/=",
            '"quoted"',
            "back\\slash",
            "tab\there",
            "张三",
        ]
    ),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8),
)
rows = st.lists(st.lists(cells, min_size=len(NAMES), max_size=len(NAMES)), max_size=12)


def written(
    settings_: Settings, shop: Shop, vault: Vault, way: str, inbox: Path
) -> tuple[BatchManifest, list[object], list[object]]:
    place = Place("file", shop.brand, shop.platform, shop.shop, "members", DAY)
    with BatchWriter(settings_, place, way) as writer:
        if way == "columns":
            landing = ColumnLanding(writer, MODEL, vault)
            path = inbox / shop.shop / "members" / "members.csv"
            for chunk in read_chunks(path, "csv", MODEL):
                landing.write(chunk.columns, chunk.lines)
                for line, record in chunk.defects:
                    quarantine_defect(writer, vault, line, record)
        else:
            window = Window(shop.day_start(DAY), shop.day_end(DAY))
            records = FileSource(inbox).iter_records(shop, "members", window)
            write_records(writer, MODEL, vault, records)
        manifest = writer.commit(Origin(way, FixedClock().now()))
    landed: list[object] = list(read_batch(settings_, manifest))
    aside: list[object] = []
    if manifest.quarantined_count:
        aside = [dict(one) for one in quarantined(settings_, manifest)]
    return manifest, landed, aside


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=rows)
def test_both_ways_land_the_same(
    rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory, shop: Shop, vault: Vault
) -> None:
    folder = tmp_path_factory.mktemp("ways")
    inbox = folder / "inbox"
    path = inbox / shop.shop / "members" / "members.csv"
    path.parent.mkdir(parents=True)
    text = io.StringIO()
    csv.writer(text).writerows([NAMES, *rows])
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    one = written(Settings(data_dir=folder / "a"), shop, vault, "columns", inbox)
    other = written(Settings(data_dir=folder / "b"), shop, vault, "records", inbox)
    assert one[1] == other[1]
    assert one[2] == other[2]
    assert one[0].quarantine_reasons == other[0].quarantine_reasons
    assert one[0].unknown_fields == other[0].unknown_fields
    assert one[0].key_id == other[0].key_id

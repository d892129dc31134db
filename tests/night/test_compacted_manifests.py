"""A run manifest lists a compacted month once, and resolves to what it always meant."""

from datetime import UTC, date, datetime, timedelta

import pytest

from regulars.errors import NightError
from regulars.landing import list_batches
from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.landing.compacted import COMPACTED_SUFFIX, MARK_SUFFIX
from regulars.landing.compaction import compact, months_to_compact
from regulars.night.manifest import RunManifest, batch_ids, ordered, refs_of, resolve
from regulars.records import Window
from regulars.settings import Settings

FIRST = datetime(2017, 9, 1, tzinfo=UTC)
NOVEMBER = date(2017, 11, 1)


def land(settings, start, minutes=30, stream="orders"):
    window = Window(start, start + timedelta(minutes=minutes))
    place = Place("pdd_open", "demo", "pdd", "mall", stream, start.date())
    with BatchWriter(settings, place, "night") as writer:
        if start.hour == 0:
            writer.write(b'{"_line":1,"order_sn":"%d"}\n' % start.timestamp(), 1)
        return writer.commit(Origin("api", start, window))


def manifest_of(refs):
    return RunManifest(
        run_id="night-20171101",
        as_of_date=NOVEMBER,
        batches=refs,
        shops=(),
        visible_until={},
        state_heads={},
        fingerprint="",
        code_version="",
        code_commit="",
        versions={},
        key_id="",
    )


def compact_all(settings):
    used = {one.batch_id for one in list_batches(settings)}
    return [compact(settings, month) for month in months_to_compact(settings, NOVEMBER, used)]


@pytest.fixture
def settings(tmp_path):
    made = Settings(data_dir=tmp_path)
    for number in range(0, 48 * 40, 24):
        for stream in ("orders", "refunds"):
            land(made, FIRST + timedelta(minutes=30 * number), stream=stream)
    return made


def test_a_manifest_lists_months_instead_of_windows_and_means_the_same(settings):
    before = manifest_of(refs_of(list_batches(settings)))
    assert len(before.batches) == 160
    meant = [one.batch_id for one in resolve(settings, before)]
    compacted = compact_all(settings)
    after = manifest_of(refs_of(list_batches(settings)))
    # September and October, orders and refunds.
    assert sorted(ref.batch_id for ref in after.batches) == sorted(compacted)
    assert len(compacted) == 4
    for manifest in (before, after):
        assert [one.batch_id for one in resolve(settings, manifest)] == meant
        assert batch_ids(settings, manifest) >= set(meant)
    assert manifest_of(refs_of(reversed(list_batches(settings)))) == after


def test_what_lands_later_is_listed_beside_the_month_and_not_by_an_older_manifest(settings):
    compact_all(settings)
    older = manifest_of(refs_of(list_batches(settings)))
    late = land(settings, FIRST + timedelta(minutes=7), minutes=3)
    newer = manifest_of(refs_of(list_batches(settings)))
    assert {ref.batch_id for ref in newer.batches} - {ref.batch_id for ref in older.batches} == {
        late.batch_id
    }
    assert late.batch_id not in {one.batch_id for one in resolve(settings, older)}
    assert late.batch_id not in batch_ids(settings, older)


def test_a_month_of_which_a_part_is_meant_is_listed_by_its_members(settings):
    compact_all(settings)
    some = ordered(list_batches(settings))[:-1]
    refs = refs_of(some)
    assert [one.batch_id for one in resolve(settings, manifest_of(refs))] == [
        one.batch_id for one in some
    ]
    assert some[-1].batch_id in {ref.batch_id for ref in refs}


@pytest.mark.parametrize("is_compacted", [False, True])
def test_a_batch_that_is_missing_or_another_one_is_named(settings, is_compacted):
    if is_compacted:
        compact_all(settings)
    refs = refs_of(list_batches(settings))
    other = (refs[0].model_copy(update={"sha256": "0" * 64}), *refs[1:])
    with pytest.raises(NightError, match=f"1 batches .*: batch {refs[0].batch_id} is another one"):
        resolve(settings, manifest_of(other))
    folder = settings.landing_dir / ordered(list_batches(settings))[0].data_path
    gone = folder.with_name(
        folder.name.replace(COMPACTED_SUFFIX, MARK_SUFFIX).replace(".ndjson.zst", ".manifest.json")
    )
    gone.unlink()
    with pytest.raises(NightError, match="is missing") as caught:
        resolve(settings, manifest_of(refs))
    assert "restore data/landing" in caught.value.next_step

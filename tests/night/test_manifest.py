"""A frozen manifest is known by its SHA-256, whatever its night's completion writes into it."""

import json
from datetime import date

import pytest

from regulars.errors import NightError
from regulars.night import manifest as manifests
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import load_shops
from regulars.state import StateStore

DAY = date(2017, 10, 1)
RUN = "night-20171001"


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path, config_dir=PROJECT_ROOT / "config")


@pytest.fixture
def state(settings):
    store = StateStore(settings.resolved_state_url)
    store.nights.open(DAY)
    return store


@pytest.fixture
def sha256(settings, state):
    """Freeze a manifest; what recorded state knows of it."""
    [shop] = load_shops(settings.shops_path).shops
    # Whatever a shop may hold that one writer of JSON writes in another way than the next.
    odd = shop.model_copy(update={"name": '会员 \u2028 "shop" \x7f', "quarantine_share": 1e-05})
    manifest = manifests.freeze(
        settings, as_of_date=DAY, shops=[odd], batches=[], state_heads={"s": 1}, key_id="k"
    )
    manifests.freeze_manifest(settings, manifest, state.nights)
    return state.nights.get(DAY).manifest_sha256


def edit(settings, **changes):
    path = manifests.manifest_path(settings, RUN)
    document = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(document), encoding="utf-8")


def test_a_manifest_is_the_one_that_was_frozen_before_and_after_its_completion(settings, sha256):
    before = manifests.require_manifest(settings, RUN, sha256)
    manifests.note_publication(settings, RUN, digest="d", file="marts.duckdb")
    after = manifests.require_manifest(settings, RUN, sha256)
    assert (after.digest, after.published_file) == ("d", "marts.duckdb")
    assert after.published_fingerprint == before.fingerprint
    unpublished = {"digest": "", "published_file": "", "published_commit": ""}
    unpublished["published_fingerprint"] = ""
    assert after.model_copy(update=unpublished) == before


def test_a_field_that_the_code_has_gained_since_changes_nothing(settings, sha256, monkeypatch):
    class Newer(manifests.RunManifest):
        gained: str = ""

    monkeypatch.setattr(manifests, "RunManifest", Newer)
    manifests.note_publication(settings, RUN, digest="d", file="marts.duckdb")
    assert manifests.require_manifest(settings, RUN, sha256).digest == "d"


@pytest.mark.parametrize(
    "changes",
    [
        {"key_id": "another"},
        {"state_heads": {"s": 2}},
        {"batches": [{"batch_id": "b", "sha256": "0"}]},
        {"as_of_date": "2017-10-02"},
    ],
)
@pytest.mark.parametrize("is_completed", [False, True])
def test_another_manifest_is_refused_with_its_file_and_the_backup(
    settings, sha256, changes, is_completed
):
    if is_completed:
        manifests.note_publication(settings, RUN, digest="d", file="marts.duckdb")
    edit(settings, **changes)
    with pytest.raises(NightError, match="not the one that the night decided from") as caught:
        manifests.require_manifest(settings, RUN, sha256)
    assert caught.value.where == str(manifests.manifest_path(settings, RUN))
    assert "backup of data/runs" in caught.value.next_step


def test_a_lost_manifest_is_refused_with_its_file_and_the_backup(settings, sha256):
    path = manifests.manifest_path(settings, RUN)
    path.unlink()
    with pytest.raises(NightError, match="is lost") as caught:
        manifests.require_manifest(settings, RUN, sha256)
    assert caught.value.where == str(path)
    assert "backup of data/runs" in caught.value.next_step


def test_what_was_frozen_before_is_kept_beside_it(settings, sha256):
    manifests.note_publication(settings, RUN, digest="d", file="marts.duckdb")
    kept = settings.runs_dir / f"{RUN}.1.json"
    assert manifests.RunManifest.model_validate_json(kept.read_text(encoding="utf-8")).digest == ""


def test_a_run_id_is_its_date_and_nothing_else():
    assert manifests.date_of("night-20171001") == DAY
    for text in ("20171001", "night-2017101", "night-20171301", "night-20171001a", "night-", ""):
        with pytest.raises(NightError, match="is not a run id"):
            manifests.date_of(text)

"""Value models in real nights: fitted once, named by the manifest, the same when replayed."""

from pathlib import Path

import pytest

from regulars.night.manifest import read_manifest
from regulars.night.replay import replay_night
from regulars.night.steps import Night
from regulars.state import StateStore
from tests.world import FIRST_NIGHT, open_world

pytestmark = pytest.mark.slow


def test_a_night_records_its_attempt_and_a_replay_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_world(tmp_path) as world:
        world.run_nights(2)
        state = StateStore(world.settings.resolved_state_url)
        (only,) = state.iter_stream("state__value_models", 0, 99)
        # Twelve households are too few: the attempt says so, and the night went on.
        assert (only["readiness"], only["reason"]) == ("cohort", "too_few_buyers")
        assert only["valid_from"] == FIRST_NIGHT
        for run_id in ("night-20171001", "night-20171002"):
            manifest = read_manifest(world.settings, run_id)
            assert manifest is not None
            assert manifest.state_heads["state__value_models"] == 1

        def refuse(*_: object) -> None:
            raise AssertionError("a replay fits nothing")

        monkeypatch.setattr(Night, "_record_value_models", refuse)
        monkeypatch.setattr("regulars.night.steps.record_due_models", refuse)
        outcome = replay_night(world.settings, world.find_credentials, "2017-10-01")
        assert outcome.is_equal

"""What is wrong with tiers, points or segments stops the night before it has done anything."""

import shutil
from datetime import timedelta
from types import SimpleNamespace

import pytest
from tests.loyalty.files import POINTS, PROGRAM
from tests.state.rows import DAY

from regulars.errors import ConfigError
from regulars.loyalty import load_loyalty
from regulars.night import steps
from regulars.night.steps import Night
from regulars.settings import PROJECT_ROOT, Settings
from regulars.state import run_id_of
from regulars.warehouse import control
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables


@pytest.fixture
def night(tmp_path):
    config = tmp_path / "config"
    shutil.copytree(PROJECT_ROOT / "config", config)
    for name, text in (("tiers/first", PROGRAM), ("points/base", POINTS)):
        path = config / f"{name}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    settings = Settings(data_dir=tmp_path / "data", config_dir=config, clock_url="", state_url="")
    settings.warehouse_path.parent.mkdir(parents=True)
    return Night(settings, lambda _: pytest.fail("no credentials"), holder="test")


def edit(night, file, old, new):
    path = night.settings.config_dir / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "line"),
    [("tiers/first.yml", 2), ("points/base.yml", 2), ("segments/second_order_due.yml", 3)],
)
def test_a_wrong_file_stops_the_night_before_it_opens(night, file, line):
    edit(night, file, "brand: demo", "brand: nobody")
    with pytest.raises(ConfigError, match=r"no (such )?brand") as caught:
        night.open_night(DAY)
    assert caught.value.where == f"{night.settings.config_dir / file}:{line}"
    assert night.state.lease.current() is None
    assert night.state.nights.get(DAY) is None


def test_a_rule_that_earns_otherwise_than_before_is_not_loaded(night, monkeypatch):
    run_id = run_id_of(DAY + timedelta(days=1))
    night.state.nights.open(DAY)
    night.state.nights.complete(run_id_of(DAY), digest="digest", published_file="f")
    with open_warehouse(night.settings, holder="test") as connection:
        create_tables(connection)
        loyalty = load_loyalty(night.settings.config_dir, night.shops)
        control.write_loyalty(connection, loyalty.warehouse_tables())
    for name in ("_make_fit", "_manifest"):
        monkeypatch.setattr(Night, name, lambda *_: None)
    monkeypatch.setattr(steps.manifests, "resolve", lambda *_: [])
    monkeypatch.setattr(Night, "transformer", SimpleNamespace(prepare=lambda: None))
    monkeypatch.setattr(
        steps, "load_batches", lambda *_, **__: pytest.fail("nothing may be loaded")
    )
    edit(night, "points/base.yml", "points_per_unit: 1", "points_per_unit: 2")
    with pytest.raises(ConfigError, match=r"has begun with 1\.00"):
        night.load_raw(run_id)

"""How the unions find the staging models: by folder, in a small project with the house's macro."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from regulars.settings import Settings
from regulars.transform.runner import Transformer
from regulars.transform.staged import STAGED_VARIABLE, staged_models
from tests.dbt.project import PROJECT_DIR, environment, release_files

PROJECT = """
name: regulars
version: "1.0"
config-version: 2
profile: regulars
flags: {send_anonymous_usage_stats: false}
"""
UNION = """
{% for model in staged('things') %}
    select thing from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
{% endfor %}
"""


UNION_ID = "model.regulars.int_things__unioned"


class Folders:
    """A project of one union, and the dbt that is started in it."""

    def __init__(self, directory: Path) -> None:
        self.project_dir = directory / "project"
        self.work_dir = directory / "work"
        (self.project_dir / "models").mkdir(parents=True)
        (self.project_dir / "macros").mkdir()
        (self.project_dir / "dbt_project.yml").write_text(PROJECT)
        shutil.copy(PROJECT_DIR / "profiles.yml", self.project_dir)
        shutil.copy(PROJECT_DIR / "macros" / "staged.sql", self.project_dir / "macros")
        self.add_model("models/int_things__unioned.sql", UNION)
        self.union: Any = None

    def add_model(self, path: str, sql: str) -> None:
        (self.project_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (self.project_dir / path).write_text(sql)

    def add_source(self, source: str, entity: str = "things") -> None:
        sql = f"select '{source}' as thing"
        self.add_model(f"models/staging/{source}/stg_{source}__{entity}.sql", sql)

    def dbt(self, command: str, named: str, *arguments: str) -> str:
        """Run dbt as by hand: with what it kept of the last run. What went wrong, or nothing."""
        values = {
            STAGED_VARIABLE: named,
            "REGULARS_WAREHOUSE_PATH": ":memory:",
            "REGULARS_MARTS_PATH": ":memory:",
        }
        places = [
            "--project-dir", str(self.project_dir),
            "--profiles-dir", str(self.project_dir),
            "--target-path", str(self.work_dir / "target"),
            "--log-path", str(self.work_dir / "logs"),
            "--target", "memory",
            "--quiet",
        ]  # fmt: skip
        with environment(values):
            try:
                result = dbtRunner().invoke([command, *places, *arguments])
            finally:
                release_files()
        self.union = None
        if command == "parse" and result.success:
            self.union = result.result.nodes[UNION_ID]
        nodes = getattr(result.result, "results", None) or []
        return str(result.exception or "") + "".join(str(node.message or "") for node in nodes)

    def found(self) -> list[str]:
        """Sources that the parsed union reads."""
        assert self.union is not None
        return sorted(name.split(".")[-1] for name in self.union.depends_on.nodes)

    @property
    def listed(self) -> str:
        """What a night would say."""
        return staged_models(self.project_dir)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path)
    folders.add_source("one")
    folders.add_source("two")
    return folders


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_union_reads_every_folder_that_has_the_entity(folders: Folders, by_hand: bool) -> None:
    folders.add_source("three", "other_things")
    folders.add_source("four", "things__rules")
    assert folders.dbt("parse", "" if by_hand else folders.listed) == ""
    assert folders.found() == ["stg_one__things", "stg_two__things"]


def test_a_new_folder_makes_dbt_parse_the_union_again(folders: Folders) -> None:
    folders.dbt("parse", folders.listed)
    folders.add_source("three")
    assert folders.dbt("parse", folders.listed) == ""
    assert folders.found() == ["stg_one__things", "stg_three__things", "stg_two__things"]


def test_a_folder_taken_away_leaves_the_union(folders: Folders) -> None:
    folders.dbt("parse", folders.listed)
    shutil.rmtree(folders.project_dir / "models" / "staging" / "one")
    assert folders.dbt("parse", folders.listed) == ""
    assert folders.found() == ["stg_two__things"]


def test_a_model_in_a_folder_of_another_name_is_not_taken(folders: Folders) -> None:
    folders.add_model("models/staging/three/stg_four__things.sql", "select 4 as thing")
    folders.dbt("parse", folders.listed)
    assert folders.found() == ["stg_one__things", "stg_two__things"]
    assert "are stg_four__things, stg_one__things" in folders.dbt("run", folders.listed)


def test_a_union_of_nothing_says_what_to_do(folders: Folders) -> None:
    said = folders.dbt("parse", "models/staging/one/stg_one__orders.sql")
    assert "no staging model of things is known" in said
    assert "echo models/staging/*/stg_*.sql" in said


def test_a_list_that_leaves_a_source_out_builds_nothing(folders: Folders) -> None:
    said = folders.dbt("run", "models/staging/one/stg_one__things.sql")
    assert "REGULARS_STAGED names stg_one__things" in said


def test_an_optional_entity_may_have_no_source(folders: Folders) -> None:
    optional = UNION.replace("'things'", "'parcels', is_required=false")
    folders.add_model("models/int_things__unioned.sql", f"{optional}\nselect 1 as thing")
    assert folders.dbt("run", folders.listed, "--select", "int_things__unioned") == "OK"


def test_the_list_is_what_the_shell_says(folders: Folders) -> None:
    assert folders.listed == (
        "models/staging/one/stg_one__things.sql models/staging/two/stg_two__things.sql"
    )


def _transformer(folders: Folders, name: str) -> Transformer:
    """A night's dbt on a copy of the project: it parses each project once for its process."""
    copy = folders.work_dir / name
    shutil.copytree(folders.project_dir, copy)
    settings = Settings(dbt_project_dir=copy, data_dir=folders.work_dir / f"{name}_data")
    return Transformer(settings, lambda: 0.0)


def test_a_night_rebuilds_what_reads_a_union_when_a_folder_comes_or_goes(folders: Folders) -> None:
    both = _transformer(folders, "both")
    shutil.rmtree(folders.project_dir / "models" / "staging" / "one")
    alone = _transformer(folders, "alone")
    assert UNION_ID in alone.changed_with_descendants(both.fingerprints())
    assert UNION_ID in both.changed_with_descendants(alone.fingerprints())
    assert both.changed_with_descendants(both.fingerprints()) == set()


def test_a_night_rebuilds_what_reads_a_variable_of_the_project(folders: Folders) -> None:
    """Through a macro as well; a variable that no model reads rebuilds nothing."""
    folders.add_model("macros/zone.sql", "{% macro zone() %}'{{ var('zone') }}'{% endmacro %}")
    folders.add_model("models/stg_here.sql", "select {{ zone() }} as zone")
    folders.add_model("models/stg_there.sql", "select 1 as zone")

    def night(name: str, zone: str, *, full_checks: str) -> Transformer:
        variables = f"vars: {{zone: {zone}, full_checks: {full_checks}}}\n"
        (folders.project_dir / "dbt_project.yml").write_text(PROJECT + variables)
        return _transformer(folders, name)

    good = night("before", "UTC", full_checks="false").fingerprints()
    assert night("checked", "UTC", full_checks="true").changed_with_descendants(good) == set()
    moved = night("moved", "Asia/Seoul", full_checks="false")
    assert moved.changed_with_descendants(good) == {"model.regulars.stg_here"}


def test_a_view_is_built_again_only_when_it_has_changed(folders: Folders) -> None:
    night = _transformer(folders, "night")
    good = night.fingerprints()
    assert UNION_ID in night.unfed_staging(set(), good)
    assert UNION_ID not in night.unfed_staging(set(), {**good, UNION_ID: "another"})
    assert night.unfed_staging(set(), {}) == set()


def test_a_view_that_is_checked_is_built_for_its_check(folders: Folders) -> None:
    good = _transformer(folders, "unchecked").fingerprints()
    folders.add_model(
        "tests/assert_union_holds.sql",
        "select 'x' as violation from {{ ref('int_things__unioned') }} where false",
    )
    checked = _transformer(folders, "checked")
    assert UNION_ID not in checked.unfed_staging(set(), good)


def test_what_reads_a_table_of_config_is_found_with_its_descendants(folders: Folders) -> None:
    tables = "[{name: campaigns}, {name: sending_hours}]"
    (folders.project_dir / "models" / "sources.yml").write_text(
        f"sources: [{{name: config, tables: {tables}}}, {{name: raw, tables: [{{name: things}}]}}]"
    )
    folders.add_model("models/stg_far.sql", "select * from {{ source('raw', 'things') }}")
    folders.add_model("models/near.sql", "select * from {{ source('config', 'campaigns') }}")
    folders.add_model(
        "models/below.sql", "select * from {{ ref('near') }} cross join {{ ref('stg_far') }}"
    )
    night = _transformer(folders, "config")
    readers = {"model.regulars.near", "model.regulars.below"}
    assert night.readers_of(["config.campaigns"]) == readers
    assert night.readers_of(["config.sending_hours", "raw.campaigns"]) == set()

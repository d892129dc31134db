""".env.example says everything that can be set, and bootstrap makes a safe .env of it."""

import base64
import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from regulars.settings import Settings
from tests.house.repository import ROOT
from tests.house.scripts import load_script

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


init_env = load_script("init_env")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    return tmp_path


def values_of(project: Path) -> dict[str, str | None]:
    return dict(dotenv_values(project / ".env", interpolate=False))


# ------------------------------------------------------------------------------- .env.example


def test_example_and_settings_name_the_same_variables() -> None:
    active, off = init_env.parse(EXAMPLE)
    listed = {name for name in active.keys() | off if name.startswith("REGULARS_")}
    assert listed == {f"REGULARS_{name.upper()}" for name in Settings.model_fields}


def test_example_shows_the_defaults_of_the_settings() -> None:
    shown = dict(re.findall(r"^#(REGULARS_[A-Z0-9_]+)=(.*)$", EXAMPLE, flags=re.M))
    for name, field in Settings.model_fields.items():
        text = shown.get(f"REGULARS_{name.upper()}")
        if text is None or isinstance(field.default, Path):
            continue
        assert type(field.default)(text) == field.default, name


def test_every_variable_of_the_example_is_explained() -> None:
    blocks = re.split(r"\n\s*\n", EXAMPLE)
    names = [m[1] for m in re.finditer(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, flags=re.M)]
    assert len(names) == len(set(names))
    for block in blocks:
        assigned = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", block, flags=re.M)
        assert len(assigned) <= 1, f"one comment for each of {assigned}"
        if assigned:
            assert re.match(r"# \S.+", block), f"{assigned[0]} has no comment"


def test_example_holds_no_secret_and_names_only_what_we_run() -> None:
    active, off = init_env.parse(EXAMPLE)
    assert {name for name, value in active.items() if value} == {"REGULARS_CLOCK_URL"}
    assert active.keys() - {"REGULARS_CLOCK_URL"} == init_env.GENERATED.keys()
    assert {name.split("_")[0] for name in active.keys() | off} <= {
        "REGULARS",
        "AIRFLOW",
        "POSTGRES",
        "RABBITMQ",
    }


# ------------------------------------------------------------------------------------ .env


def test_a_new_env_has_every_secret_and_is_private(project: Path) -> None:
    init_env.initialise(project)
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    values = values_of(project)
    assert all(values[name] for name in init_env.GENERATED)
    key = json.loads(values["AIRFLOW_CONN_REGULARS_PII"] or "")["password"]
    assert len(base64.b64decode(key, validate=True)) == 32
    assert len(values["AIRFLOW__API_AUTH__JWT_SECRET"] or "") >= 64
    demo = json.loads(values["AIRFLOW_CONN_REGULARS_DEMO_GROCER"] or "")
    assert demo["host"] == "http://127.0.0.1:8790/router/rest"
    assert demo["password"] == values["REGULARS_SANDBOX_APP_SECRET"]
    assert demo["extra"]["session"] == values["REGULARS_SANDBOX_SESSION"]
    assert not list(project.glob("*.part"))


def test_two_installations_share_no_secret(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / ".env.example").write_text(EXAMPLE, encoding="utf-8")
    init_env.initialise(project)
    init_env.initialise(other)
    mine, theirs = values_of(project), values_of(other)
    assert not [name for name in init_env.GENERATED if mine[name] == theirs[name]]


def test_nothing_changes_when_bootstrap_runs_again(project: Path) -> None:
    init_env.initialise(project)
    before = (project / ".env").read_bytes()
    assert init_env.initialise(project) == []
    assert (project / ".env").read_bytes() == before


def test_a_shell_and_dotenv_read_the_same_values(project: Path) -> None:
    init_env.initialise(project)
    printed = subprocess.run(
        ["/bin/sh", "-c", f'set -a; . ./.env; exec "{sys.executable}" -c "$0"', PRINT_ENVIRONMENT],
        cwd=project,
        env={},
        capture_output=True,
        check=True,
    )
    seen = json.loads(printed.stdout)
    assert {name: seen[name] for name in values_of(project)} == values_of(project)


PRINT_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


def test_a_value_stays_when_somebody_has_set_it(project: Path) -> None:
    mine = "AIRFLOW_ADMIN_PASSWORD='mine # and mine'\n#REGULARS_CLOCK_URL=\nOTHER=1\n"
    (project / ".env").write_text(mine, encoding="utf-8")
    init_env.initialise(project)
    text = (project / ".env").read_text(encoding="utf-8")
    assert text.startswith(mine.rstrip("\n"))
    assert values_of(project)["AIRFLOW_ADMIN_PASSWORD"] == "mine # and mine"
    assert "REGULARS_CLOCK_URL" not in values_of(project)


def test_a_variable_is_added_with_its_comment_when_the_example_gains_one(project: Path) -> None:
    init_env.initialise(project)
    before = (project / ".env").read_text(encoding="utf-8")
    grown = EXAMPLE + "\n# Why there is a new one.\nREGULARS_NEW=7\n"
    (project / ".env.example").write_text(grown, encoding="utf-8")
    assert "added REGULARS_NEW" in init_env.initialise(project)
    after = (project / ".env").read_text(encoding="utf-8")
    assert after == before + "\n# Why there is a new one.\nREGULARS_NEW=7\n"


def test_an_emptied_secret_is_made_again_but_not_the_vaults_key(project: Path) -> None:
    init_env.initialise(project)
    path = project / ".env"
    text = path.read_text(encoding="utf-8")
    emptied = re.sub(r"(?m)^(AIRFLOW_ADMIN_PASSWORD|AIRFLOW_CONN_REGULARS_PII)=.*$", r"\1=", text)
    path.write_text(emptied, encoding="utf-8")
    (project / "data" / "vault").mkdir(parents=True)
    (project / "data" / "vault" / "vault.db").touch()
    with pytest.raises(init_env.EnvError, match="AIRFLOW_CONN_REGULARS_PII is empty"):
        init_env.initialise(project)
    assert path.read_text(encoding="utf-8") == emptied

    (project / "data" / "vault" / "vault.db").unlink()
    init_env.initialise(project)
    assert all(values_of(project)[name] for name in init_env.GENERATED)


# ------------------------------------------------------------------------ settings reference


def test_settings_reference_is_what_the_settings_say() -> None:
    reference = load_script("write_settings_reference")
    assert reference.TARGET.read_text(encoding="utf-8") == reference.render(), "run: make docs"

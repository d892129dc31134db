"""The commands that people read about exist, and do what the house promises."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from regulars.cli import app
from tests.house.repository import ROOT, repository_files

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.M))
VARIABLES = set(re.findall(r"\$\(([A-Z]+)\)", MAKEFILE))
PROMISED = {
    *("help", "bootstrap", "nightly", "ui", "test", "test-fast", "test-faults"),
    *("lint", "format", "lock", "clean", "bench-demo"),
}


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def code_of(document: str) -> str:
    """The fenced blocks and the inline code of a Markdown document."""
    fenced = re.findall(r"^```.*?^```", document, flags=re.M | re.S)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", document)])


def documents() -> list[Path]:
    return repository_files("*.md", ".ci/*", "scripts/*.sh", "scripts/*.py", ".env.example")


def test_help_is_the_default_and_lists_every_target() -> None:
    answer = make()
    assert answer.returncode == 0
    assert set(re.findall(r"^  make ([a-z-]+)", answer.stdout, flags=re.M)) == TARGETS
    assert PROMISED <= TARGETS
    assert answer.stdout == make("help").stdout


def test_every_make_command_in_the_documents_exists() -> None:
    used: dict[str, Path] = {}
    for path in documents():
        text = (ROOT / path).read_text(encoding="utf-8")
        code = code_of(text) if path.suffix == ".md" else text
        for words in re.findall(r"\bmake((?: +[A-Za-z-]+(?:=\S*)?)+)", code):
            first = words.split()[0]
            if path.suffix == ".md" or first in TARGETS:
                used[first] = path
                for word in words.split()[1:]:
                    if "=" in word:
                        assert word.partition("=")[0] in VARIABLES, f"{path}: make{words}"
    assert {"nightly", "ui", "test"} <= used.keys()
    assert not {name: str(path) for name, path in used.items() if name not in TARGETS}


def test_every_regulars_command_in_the_documents_exists() -> None:
    commands = set(typer.main.get_group(app).commands)
    used = set(re.findall(r"\$\(REGULARS\) ([a-z-]+)", MAKEFILE))
    for path in repository_files("*.md", "plugins/regulars/*.py"):
        text = (ROOT / path).read_text(encoding="utf-8")
        used |= set(re.findall(r"`(?:\.venv/bin/)?regulars ([a-z-]+)", text))
    assert used <= commands


def test_every_script_that_a_recipe_calls_is_there_and_executable() -> None:
    called = set(re.findall(r"\bscripts/[a-z_]+\.(?:sh|py)\b", MAKEFILE))
    called |= {m for path in ("lint.sh",) for m in re.findall(r"scripts/\S+\.sh", script(path))}
    assert called
    assert not [name for name in called if not (ROOT / name).is_file()]
    shell = [*(name for name in called if name.endswith(".sh")), ".ci/run"]
    assert not [name for name in shell if not os.access(ROOT / name, os.X_OK)]


def script(name: str) -> str:
    return (ROOT / "scripts" / name).read_text(encoding="utf-8")


def test_night_variables_reach_the_command_line() -> None:
    plan = make("--dry-run", "nightly", "DATE=2017-10-01", "NIGHTS=3").stdout
    assert "nightly --date '2017-10-01' --nights '3'" in plan
    assert "--date" not in make("--dry-run", "nightly").stdout


def test_tests_include_lint_and_leave_only_the_faults_out() -> None:
    plan = make("--dry-run", "test").stdout
    assert "scripts/lint.sh" in plan
    assert "-m 'not faults'" in plan
    assert "scripts/lint.sh" not in make("--dry-run", "test-fast").stdout


def test_ci_runs_everything_on_a_machine_that_has_nothing() -> None:
    text = (ROOT / ".ci/run").read_text(encoding="utf-8")
    steps = re.findall(r"^make ([a-z-]+)", text, flags=re.M)
    assert steps == ["bootstrap", "test", "nightly", "nightly", "test-faults"]
    assert "set -euo pipefail" in text
    assert "</dev/null" in text
    assert "REGULARS_REQUIRE_SERVERS=1" in text
    assert subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=False).returncode == 0


def test_shell_scripts_parse() -> None:
    for path in repository_files("scripts/*.sh"):
        shell = "sh" if "#!/bin/sh" in script(path.name).splitlines()[0] else "bash"
        assert subprocess.run([shell, "-n", ROOT / path], check=False).returncode == 0, path


def test_hooks_need_no_host_and_no_other_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert all(hook["entry"].split()[0].startswith((".venv/bin/", "scripts/")) for hook in hooks)


# ------------------------------------------------------------------------------- bootstrap


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout with nothing installed."""
    for name in ("scripts", ".env.example", "requirements.lock", "pyproject.toml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def fake_python(folder: Path, name: str, version: str | None) -> Path:
    """A program that claims to be this version of Python, or that fails as a shim may."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\nexit 127\n")
    program.chmod(0o755)
    return program


def bootstrap(bare: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/bootstrap.sh"],
        cwd=bare,
        env={"PATH": f"{path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bootstrap_says_so_when_no_python_fits(bare: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    fake_python(programs, "python3", "3.13.1")
    fake_python(programs, "python3.12", None)
    fake_python(programs, "python3.11", None)
    answer = bootstrap(bare, programs)
    assert answer.returncode != 0
    assert "needs Python 3.11 or 3.12" in answer.stderr
    assert "python3=3.13.1 python3.12=none python3.11=none" in answer.stderr
    assert "Next:" in answer.stderr
    assert not (bare / ".venv").exists()


def test_bootstrap_takes_another_python_when_python3_does_not_fit(
    bare: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    fake_python(programs, "python3", "3.13.1")
    fake_python(programs, "python3.12", "3.12.4")
    answer = bootstrap(bare, programs)
    # The stand-in makes no environment; what counts is that it was asked to.
    assert "Python 3.12.4 in .venv" in answer.stdout


def test_bootstrap_shows_pythons_own_words_when_it_cannot_make_an_environment(
    bare: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    program = fake_python(programs, "python3", "3.11.9")
    program.write_text(
        '#!/bin/sh\nif [ "$2" = venv ]; then echo "ensurepip is not available"; exit 1; fi\n'
        "echo 3.11.9\n"
    )
    answer = bootstrap(bare, programs)
    assert answer.returncode != 0
    assert "ensurepip is not available" in answer.stderr
    assert "apt-get install python3-venv" in answer.stderr
    assert not (bare / ".venv").exists()


# ------------------------------------------------------------------------------------ clean


def cleaned(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "clean_demo.sh", folder / "scripts")
    return make(*arguments, cwd=folder)


def demo_data(folder: Path) -> Path:
    landed = folder / "data/landing/file/taobao/demo_grocer/orders/2017-09-30"
    landed.mkdir(parents=True)
    (folder / "data/inbox/demo_grocer/orders").mkdir(parents=True)
    (folder / "data/warehouse").mkdir(parents=True)
    (folder / ".airflow").mkdir()
    return folder / "data"


def test_clean_never_touches_what_a_night_wrote(tmp_path: Path) -> None:
    data = demo_data(tmp_path)
    (data / "__pycache__").mkdir()
    (tmp_path / "dbt_project/target").mkdir(parents=True)
    (tmp_path / "plugins/__pycache__").mkdir(parents=True)
    assert cleaned(tmp_path, "clean").returncode == 0
    assert (data / "landing/file/taobao/demo_grocer").exists()
    assert (data / "__pycache__").exists()
    assert (tmp_path / ".airflow").exists()
    assert not (tmp_path / "dbt_project/target").exists()
    assert not (tmp_path / "plugins/__pycache__").exists()


def test_the_demo_starts_over_only_when_it_is_confirmed(tmp_path: Path) -> None:
    data = demo_data(tmp_path)
    refused = cleaned(tmp_path, "clean-demo")
    assert refused.returncode != 0
    assert "CONFIRM=yes" in refused.stderr
    assert data.exists()
    assert cleaned(tmp_path, "clean-demo", "CONFIRM=yes").returncode == 0
    assert not data.exists()
    assert not (tmp_path / ".airflow").exists()


@pytest.mark.parametrize(
    "place", ["landing/taobao_top/taobao/north_tmall", "inbox/north_tmall", "quarantine/file/x/y"]
)
def test_a_real_shops_data_is_never_removed(tmp_path: Path, place: str) -> None:
    data = demo_data(tmp_path)
    (data / place).mkdir(parents=True)
    refused = cleaned(tmp_path, "clean-demo", "CONFIRM=yes")
    assert refused.returncode != 0
    assert "belongs to a real shop" in refused.stderr
    assert (data / "landing/file/taobao/demo_grocer").exists()

"""Documents lead somewhere, decisions have one form, and the runbook knows every error."""

import re
import subprocess
from pathlib import Path

from regulars import errors
from tests.house.repository import ROOT, repository_files

MEBIBYTE = 1024 * 1024


def read(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors(document: str) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", document, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_link_between_documents_leads_somewhere() -> None:
    dead = []
    for path in repository_files("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", read(path)):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            there = (ROOT / path.parent / name).resolve() if name else ROOT / path
            if not there.exists():
                dead.append(f"{path}: {target}")
            elif anchor and anchor not in anchors(there.read_text(encoding="utf-8")):
                dead.append(f"{path}: {target} (no such heading)")
    assert not dead


def test_the_index_names_every_document() -> None:
    index = read("docs/README.md")
    listed = {f"docs/{target}" for target in re.findall(r"\]\(([^)#]+)", index)}
    missing = [
        p for p in repository_files("docs/*.md") if str(p) not in listed | {"docs/README.md"}
    ]
    assert not missing, "add them to docs/README.md"


def test_models_and_tables_that_documents_name_exist() -> None:
    known = {path.stem for path in repository_files("dbt_project/models/*.sql")}
    # A dictionary that is published as it is written.
    known |= {path.stem for path in repository_files("dbt_project/seeds/dim_*.csv")}
    named = {
        (str(path), name)
        for path in repository_files("*.md")
        if path.name != "CHANGELOG.md"
        for name in re.findall(
            r"\b(?:stg|int|fct|dim|mart|queue)_[a-z][a-z0-9_]*[a-z0-9]\b", read(path)
        )
        # A pattern, such as stg_<source>__<entities>, or a column is no model.
        if "__" in name or name.startswith(("fct_", "dim_", "mart_"))
    }
    assert len(named) > 5
    assert not {(path, name) for path, name in named if name not in known}


def test_settings_that_documents_name_exist() -> None:
    known = {"REGULARS_REQUIRE_SERVERS"}  # of the tests alone
    known |= set(re.findall(r"\bREGULARS_[A-Z_]+\b", read(".env.example")))
    named = {
        (str(path), name)
        for path in repository_files("*.md")
        if path.name != "CHANGELOG.md"
        for name in re.findall(r"\bREGULARS_[A-Z_]*[A-Z]\b", read(path))
    }
    assert len(named) > 5
    assert not {(path, name) for path, name in named if name not in known}


def test_decisions_have_one_form_and_their_own_numbers() -> None:
    paths = repository_files("docs/adr/*.md")
    numbers = sorted(path.name[:4] for path in paths)
    assert numbers == [f"{number:04d}" for number in range(1, len(paths) + 1)]
    for path in paths:
        text = read(path)
        assert text.startswith(f"# {path.name[:4]}. "), path
        headings = re.findall(r"^## (.+)$", text, flags=re.M)
        assert headings == ["Context", "Decision", "Alternatives", "Consequences"], path


def test_files_that_the_code_points_to_exist() -> None:
    pointing = repository_files("plugins/*.py", "dags/*.py", "config/*", "*.toml", "scripts/*")
    dead = [
        f"{path}: {name}"
        for path in pointing
        for name in re.findall(r"\bdocs/[a-z-]+/[a-z0-9-]+\.md\b", read(path))
        if not (ROOT / name).is_file()
    ]
    decisions = {path.name[:4] for path in repository_files("docs/adr/*.md")}
    dead += [
        f"{path}: {number}"
        for path in pointing
        for number in re.findall(r"docs/adr/(\d{4})\b", read(path))
        if number not in decisions
    ]
    assert not dead


def test_the_runbook_knows_every_error_and_every_step() -> None:
    runbook = read("docs/runbooks/night-failed.md")
    names = {
        name
        for name, item in vars(errors).items()
        if isinstance(item, type) and issubclass(item, errors.RegularsError)
    } - {"RegularsError"}
    assert len(names) > 10
    assert not {name for name in names if f"`{name}`" not in runbook}


def test_licence_is_the_whole_apache_licence() -> None:
    licence = read("LICENSE")
    assert "Version 2.0, January 2004" in licence
    assert all(f"\n   {number}. " in licence for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in licence


def test_what_a_night_writes_and_secrets_are_never_committed() -> None:
    places = [".env", "data/vault/vault.db", "data/state/state.db", ".airflow/airflow.db"]
    ignored = subprocess.run(
        ["git", "check-ignore", *places], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ignored.stdout.split() == places


def test_no_file_is_too_large_for_a_source_repository() -> None:
    large = [p for p in repository_files() if (ROOT / p).stat().st_size > MEBIBYTE]
    assert not large

"""The project installs behind any mirror: it names packages, versions and hashes, no host."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.repository import ROOT, repository_files

# In two halves, so that this file does not name them itself.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("debian", "org"),
        ("ubuntu", "com"),
        ("alpinelinux", "org"),
        ("conda", "anaconda", "org"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("maven", "apache", "org"),
        ("hub", "getdbt", "com"),
        ("huggingface", "co"),
    ]
]
LOCKS = ("*.lock", "*lock.json", "requirements*")


def test_no_file_names_a_package_registry() -> None:
    naming = []
    for path in repository_files():
        text = (ROOT / path).read_bytes().lower()
        naming += [f"{path}: {host}" for host in REGISTRY_HOSTS if host.encode() in text]
    assert not naming


def test_locks_hold_no_address() -> None:
    paths = repository_files(*LOCKS)
    assert paths
    assert not [p for p in paths if b"://" in (ROOT / p).read_bytes()]


def locked() -> dict[str, list[Version]]:
    """Versions in requirements.lock by canonical name; several where platforms differ."""
    found: dict[str, list[Version]] = {}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock, flags=re.M):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def declared() -> list[Requirement]:
    """Direct dependencies, with those of development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [Requirement(text) for text in texts]


def test_lock_fits_what_pyproject_asks_for() -> None:
    versions = locked()
    for requirement in declared():
        chosen = versions.get(canonicalize_name(requirement.name), [])
        assert chosen, f"{requirement.name} is not locked; run: make lock"
        assert all(v in requirement.specifier for v in chosen), f"{requirement}; run: make lock"


def test_every_locked_package_has_a_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.M)
    assert not [e.split()[0] for e in entries if e.strip() and "--hash=sha256:" not in e]


def test_every_bound_that_holds_a_package_back_says_why() -> None:
    """An upper bound, or a package that must match another exactly: comment beside or above."""
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    unexplained = []
    for number, line in enumerate(lines):
        match = re.match(r'\s+"([^"]+)",(.*)$', line)
        if not match or not re.match(r"[A-Za-z0-9_.\[\]-]+\s*(==|<|>|~|!)", match[1]):
            continue
        requirement = Requirement(match[1])
        operators = {spec.operator for spec in requirement.specifier}
        held = bool(operators & {"<", "<=", "~=", "!="}) or requirement.name.startswith("duckdb")
        if held and "#" not in match[2] and not lines[number - 1].lstrip().startswith("#"):
            unexplained.append(match[1])
    assert not unexplained


def test_packages_that_break_each_other_are_not_locked() -> None:
    versions = locked()
    assert "duckdb-engine" not in versions  # registers the dialect of duckdb-sqlalchemy
    assert "airflow-provider-great-expectations" not in versions  # its structlog pin
    assert all(version < Version("1.12") for version in versions["dbt-core"])

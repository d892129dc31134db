"""The Compose file: valid, without a secret, and about scripts and settings that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import pytest

from regulars.airflow_home import airflow_environment
from regulars.settings import Settings
from tests.compose.composition import ROOT, composition, interpolate, references

SCHEMA = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
SECRET = re.compile(r"PASS|SECRET|KEY|TOKEN|CONN|URL", re.IGNORECASE)
OURS = ("prepare", "api-server", "scheduler", "dag-processor", "sandbox", "receive")
CHOSEN = {"POSTGRES_PASSWORD": "pg", "RABBITMQ_PASSWORD": "mq"}


def service(name: str, **values: str) -> dict[str, Any]:
    found: dict[str, Any] = composition({**CHOSEN, **values})["services"][name]
    return found


def test_the_file_fits_the_compose_specification() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(composition(), schema)
    jsonschema.validate(composition(CHOSEN), schema)
    wrong = composition(CHOSEN)
    wrong["services"]["postgres"]["healthcheck"]["intervall"] = "5s"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_no_secret_stands_in_the_file() -> None:
    """Every value that could hold a secret takes it from a variable that must be given."""
    for name, description in composition()["services"].items():
        for variable, value in (description.get("environment") or {}).items():
            credentials = re.search(r"://[^/:]*:(.*)@", str(value))
            if credentials:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", credentials[1]), (name, variable)
            elif re.search("PASS(WORD)?$|SECRET|KEY|TOKEN", variable):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", str(value)), (name, variable)


def test_a_missing_password_is_named_with_what_to_do() -> None:
    for name in CHOSEN:
        others = {key: value for key, value in CHOSEN.items() if key != name}
        with pytest.raises(KeyError, match=f"put {name} into .env"):
            composition(others)
        assert references()[name] == {"?"}


def test_what_need_not_be_given_has_a_default() -> None:
    for name, kinds in references().items():
        assert kinds == ({"?"} if name in CHOSEN else {"-"}), name


def test_interpolation_reads_as_compose_does() -> None:
    assert interpolate("a ${X:-b} ${Y:-c} ${X}", {"Y": "d"}) == "a b d "


def test_every_service_says_when_it_is_healthy_and_comes_back() -> None:
    for name, description in composition()["services"].items():
        if name == "prepare":
            assert description["restart"] == "no"
            continue
        assert description["healthcheck"]["test"][0] == "CMD", name
        assert description["restart"] == "unless-stopped", name


def test_services_wait_for_what_they_need() -> None:
    for name in ("api-server", "scheduler", "dag-processor"):
        assert service(name)["depends_on"] == {
            "postgres": {"condition": "service_healthy"},
            "rabbitmq": {"condition": "service_healthy"},
            "prepare": {"condition": "service_completed_successfully"},
        }


def test_the_sandbox_is_a_profile_on_a_loopback_nobody_else_reaches() -> None:
    sandbox = service("sandbox")
    assert sandbox["profiles"] == ["demo"]
    assert sandbox["network_mode"] == "service:scheduler"
    assert "ports" not in sandbox
    assert not [
        name
        for name in composition()["services"]
        if name not in ("sandbox", "receive") and "profiles" in service(name)
    ]


def test_receiving_is_off_until_somebody_asks_for_it() -> None:
    receive = service("receive")
    assert receive["profiles"] == ["receive"]
    assert receive["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "prepare": {"condition": "service_completed_successfully"},
    }


def test_published_ports_stay_on_this_host() -> None:
    for name, description in composition(CHOSEN)["services"].items():
        for port in description.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_our_services_share_one_environment() -> None:
    first = service(OURS[0])
    for name in OURS:
        own = service(name)
        for part in ("image", "build", "env_file", "environment", "volumes"):
            assert own[part] == first[part], (name, part)
        assert own["command"] == [name]


def test_settings_and_airflow_variables_exist() -> None:
    environment = service("scheduler")["environment"]
    settings = {f"REGULARS_{name.upper()}" for name in Settings.model_fields}
    for name in environment:
        if name.startswith("REGULARS_"):
            assert name in settings, name
    # What the package would point at this machine is pointed at the other services instead.
    local = {
        name
        for name, value in airflow_environment().items()
        if "127.0.0.1" in value and name != "AIRFLOW__API__BASE_URL"
    }
    assert local <= set(environment)
    # The folders of a host in .env must not leak into a container.
    folders = {name for name in settings if name.endswith("_DIR")}
    assert folders | {"AIRFLOW_HOME"} <= set(environment)


def test_state_and_queue_are_those_of_the_other_services() -> None:
    environment = service("scheduler")["environment"]
    postgres = service("postgres")["environment"]
    rabbitmq = service("rabbitmq")["environment"]
    login = f"{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}"
    assert environment["REGULARS_STATE_URL"] == (
        f"postgresql://{login}@postgres:5432/{postgres['POSTGRES_DB']}"
    )
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == (
        f"postgresql+psycopg2://{login}@postgres:5432/airflow"
    )
    assert environment["REGULARS_QUEUE_URL"] == (
        f"amqp://{rabbitmq['RABBITMQ_DEFAULT_USER']}:{rabbitmq['RABBITMQ_DEFAULT_PASS']}"
        "@rabbitmq:5672//"
    )


def test_the_image_is_built_from_the_lock_and_holds_no_secret() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes" in dockerfile
    assert "requirements.lock" in dockerfile
    version = re.search(r"^UV_VERSION=(\S+)$", (ROOT / "scripts/bootstrap.sh").read_text(), re.M)
    assert version is not None
    assert f"ARG UV_VERSION={version[1]}\n" in dockerfile
    (image,) = re.findall(r"^FROM (\S+)", dockerfile, flags=re.M)
    assert image == "python:3.11-slim"
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".env", ".git", "data", ".airflow"} <= set(ignored)
    (entrypoint,) = re.findall(r'^ENTRYPOINT \["([^"]+)"\]', dockerfile, flags=re.M)
    assert (ROOT / entrypoint).stat().st_mode & 0o111


def test_images_name_no_registry() -> None:
    for name, description in composition()["services"].items():
        assert re.fullmatch(r"[a-z]+:[\w.]+", description["image"]), name


@pytest.mark.parametrize(
    "script", ["docker/entrypoint.sh", "docker/postgres/create-airflow-database.sh"]
)
def test_scripts_are_plain_shell(script: str) -> None:
    subprocess.run(["/bin/sh", "-n", script], cwd=ROOT, check=True)
    assert (ROOT / script).read_text().startswith("#!/bin/sh\n")


def test_the_entrypoint_names_what_it_can_do() -> None:
    wrong = subprocess.run(
        ["docker/entrypoint.sh", "webserver"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 64
    for name in OURS:
        assert name in wrong.stderr


def test_the_pool_is_the_one_the_dags_use() -> None:
    wiring = (ROOT / "plugins/regulars/orchestration/nights.py").read_text(encoding="utf-8")
    pool = re.search(r'^POOL = "(\w+)"', wiring, re.M)
    assert pool is not None
    assert f"airflow pools set {pool[1]} 1 " in (ROOT / "docker/entrypoint.sh").read_text()

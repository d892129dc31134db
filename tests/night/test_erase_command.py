"""Whom `regulars erase` asks for, by each of its options."""

from uuid import UUID

import pytest
from typer.testing import CliRunner

from regulars.cli import app
from regulars.errors import ErasureError
from regulars.night.erasure import Eraser, Given

KEY = str(UUID(int=7))


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("--phone", "13800001111", "phone"),
        ("--email", "a@example.org", "email"),
        ("--buyer-id", "shop:1", "buyer_id"),
        ("--order-id", "shop:2", "order_id"),
        ("--member-key", KEY, "member_key"),
        ("--customer-key", KEY, "customer_key"),
    ],
)
def test_an_option_names_a_person(tmp_path, monkeypatch, option, value, kind) -> None:
    asked = []

    def erase(self, given, *, request, confirm):
        asked.append((given, request))
        raise ErasureError("nobody is known by that", where="here", next_step="none")

    monkeypatch.setenv("REGULARS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(Eraser, "erase", erase)
    done = CliRunner().invoke(app, ["erase", option, value, "--request", "T-1"])
    assert done.exit_code == 1
    assert asked == [((Given(kind, value),), "T-1")]


def test_a_customer_key_that_is_none_is_refused_by_name(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("REGULARS_DATA_DIR", str(tmp_path))
    key = '{"conn_type": "http", "password": "' + "0" * 64 + '"}'
    monkeypatch.setenv("AIRFLOW_CONN_REGULARS_PII", key)
    arguments = ["erase", "--customer-key", "anna", "--request", "T-1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "--customer-key cannot be used" in done.output

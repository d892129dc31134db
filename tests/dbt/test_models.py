"""The rules of the models: dbt's unit tests, run in this process."""

from pathlib import Path

import pytest

from tests.dbt.project import Project


@pytest.mark.slow
def test_every_rule_of_the_models_holds(project: Project, empty_warehouse: Path) -> None:
    results = project.run(empty_warehouse, "test", "--select", "test_type:unit")
    assert len(results) > 20

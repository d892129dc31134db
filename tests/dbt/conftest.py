"""One parsed project and one empty warehouse for every test of the models."""

import os
from pathlib import Path

import pytest

from tests.dbt.project import Project, copy_pair


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    base = tmp_path_factory.getbasetemp()
    # A worker's folder stands in that of the run.
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Project(tmp_path_factory.mktemp("dbt"), shared_dir=run / "dbt-shared")


@pytest.fixture(scope="session")
def empty_warehouse(project: Project) -> Path:
    """A warehouse in which every model exists without rows, as unit tests with `this` need."""
    directory = project.work_dir / "empty"
    copy_pair(project.empty, directory)
    return directory

"""One parsed project and one empty warehouse for every test of the models."""

from pathlib import Path

import pytest

from tests.dbt.project import Project, open_pair


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("dbt"))


@pytest.fixture(scope="session")
def empty_warehouse(project: Project) -> Path:
    """A warehouse in which every model exists without rows, as unit tests with `this` need."""
    directory = project.work_dir / "empty"
    with open_pair(directory):
        pass
    project.run(directory, "seed")
    project.run(directory, "run", "--empty")
    return directory

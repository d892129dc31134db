"""Airflow runs every .py it finds below plugins/; the package must stay out of its sight."""

import shutil
from pathlib import Path

from airflow._shared.module_loading import find_path_from_directory

from tests.house.repository import ROOT, repository_files

PLUGINS = ROOT / "plugins"


def discovered(folder: Path, syntax: str) -> set[str]:
    """What Airflow's own plugin discovery would execute, relative to ``folder``."""
    found = find_path_from_directory(folder, ".airflowignore", syntax)
    return {str(Path(path).relative_to(folder)) for path in found if path.endswith(".py")}


def test_airflow_discovers_only_plugin_entry_modules() -> None:
    outside = {
        str(path.relative_to("plugins"))
        for path in repository_files("plugins/*.py")
        if path.parts[1] != "regulars"
    }
    for syntax in ("glob", "regexp"):  # the default, and what an older installation may have set
        found = discovered(PLUGINS, syntax)
        assert not {path for path in found if path.startswith("regulars/")}
        assert found <= outside


def test_a_plugin_entry_module_is_discovered_when_its_name_begins_alike(tmp_path: Path) -> None:
    shutil.copy(PLUGINS / ".airflowignore", tmp_path)
    (tmp_path / "regulars").mkdir()
    (tmp_path / "regulars" / "settings.py").touch()
    (tmp_path / "regulars_ui.py").touch()
    assert discovered(tmp_path, "glob") == {"regulars_ui.py"}


def test_the_package_would_be_discovered_when_the_ignore_file_were_gone(tmp_path: Path) -> None:
    (tmp_path / "regulars").mkdir()
    (tmp_path / "regulars" / "settings.py").touch()
    assert discovered(tmp_path, "glob") == {"regulars/settings.py"}

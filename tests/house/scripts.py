"""The scripts of scripts/, as modules that a test can call."""

import importlib.util
import sys
from types import ModuleType

from tests.house.repository import ROOT


def load_script(name: str) -> ModuleType:
    """The script ``scripts/<name>.py``, loaded but not run."""
    # Run as commands, they find each other in their own folder.
    if str(ROOT / "scripts") not in sys.path:
        sys.path.append(str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its own module up here.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module

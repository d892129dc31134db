"""What the house rules look at: the project's own files and the imports of its modules."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def repository_files(*patterns: str) -> list[Path]:
    """Every file that is, or is about to be, under version control; relative to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [Path(name) for name in names if (ROOT / name).is_file()]


@dataclass(frozen=True)
class Import:
    """One import: the absolute dotted name, its line, whether it runs when the module loads."""

    name: str
    line: int
    at_load: bool

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


@cache
def imports_of(source: str, module: str) -> list[Import]:
    """The imports of ``source``, which is the module named ``module`` (for relative imports)."""
    found: list[Import] = []

    def visit(node: ast.AST, at_load: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and _is_for_type_checkers(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend(Import(alias.name, child.lineno, at_load) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parent = module.split(".")[: -child.level]
                    base = ".".join([*parent, base] if base else parent)
                # `from package import module` may import either: name both.
                found.append(Import(base, child.lineno, at_load))
                found.extend(
                    Import(f"{base}.{alias.name}", child.lineno, at_load) for alias in child.names
                )
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            visit(child, at_load and not inside)

    visit(ast.parse(source), True)
    return found


def _is_for_type_checkers(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def module_name(path: Path) -> str:
    """``plugins/regulars/a/__init__.py`` → ``regulars.a``."""
    parts = list(path.with_suffix("").parts[1:])
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_modules() -> Iterator[tuple[str, Path, str]]:
    """Name, path and source of every module of the package."""
    for path in repository_files("plugins/regulars/*.py"):
        yield module_name(path), path, (ROOT / path).read_text(encoding="utf-8")

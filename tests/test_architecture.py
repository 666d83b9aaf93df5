"""The rooms of the house: who may import whom, that every folder is packaged, and that light things stay light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"spaces", "surrogates", "engine", "evaluators", "search", "runs"}
# Room -> rooms that it may import. `errors` and `plugins` stand at the root and belong to everyone.
MAY_IMPORT = {
    "spaces": set(),
    "surrogates": set(),
    "engine": {"spaces"},
    "evaluators": set(),
    "search": {"spaces", "surrogates"},
    "runs": {"spaces", "surrogates", "engine", "evaluators", "search"},
    "cli": {"runs"},
    "__main__": {"cli"},
    "errors": set(),
    "plugins": set(),
}
SHARED = {"errors", "plugins"}


def modules() -> list[Path]:
    """Every module of the package, by its path from the root."""
    top = [path for path in ROOT.glob("*.py") if path.stem != "__init__"]
    return sorted(top + [path for room in ROOMS for path in (ROOT / room).rglob("*.py")])


def imports(path: Path) -> set[Path]:
    """Modules of the package that a module imports relatively, those under TYPE_CHECKING included."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        start = path.parent
        for _ in range(node.level - 1):
            start = start.parent
        target = start.joinpath(*(node.module or "").split(".")) if node.module else start
        names = [target, *(target / alias.name for alias in node.names)]
        found |= {name.with_suffix(".py") for name in names if name.with_suffix(".py").is_file()}
    return found


def room_of(path: Path) -> str:
    """The room, or the root's module."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_what_its_room_may(path: Path) -> None:
    allowed = MAY_IMPORT[room_of(path)] | SHARED | {room_of(path)}
    wrong = {str(one.relative_to(ROOT)) for one in imports(path) if room_of(one) not in allowed}
    assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_import_cycles() -> None:
    graph = {path: imports(path) for path in modules()}
    finished: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, " -> ".join(str(one.relative_to(ROOT)) for one in [*trail, path])
        if path not in finished:
            for other in graph.get(path, ()):
                visit(other, (*trail, path))
            finished.add(path)

    for path in graph:
        visit(path, ())


def test_no_module_imports_the_package_by_name() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("mergesearch"))
        or (isinstance(node, ast.Import) and any(alias.name.startswith("mergesearch") for alias in node.names))
    ]
    assert not wrong


def test_every_folder_with_modules_is_packaged() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in modules() if path.parent != ROOT}
    assert set(listed) == {"mergesearch", *(".".join(["mergesearch", *folder.parts]) for folder in folders)}


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import mergesearch", {"torch", "numpy", "optuna", "transformers", "pandas"}),
        ("import mergesearch.cli", {"torch", "numpy", "optuna", "transformers", "pandas", "pydantic"}),
        ("import mergesearch.spaces.build", {"torch", "optuna", "scipy.optimize", "transformers"}),
        ("import mergesearch.engine.models", {"transformers", "optuna", "pandas", "lm_eval", "pydantic"}),
        ("import mergesearch.search.nsga2, mergesearch.search.cmaes, mergesearch.search.gp", {"torch", "transformers"}),
        ("import mergesearch.evaluators.panel", {"torch", "transformers", "lm_eval", "sklearn"}),
        ("import mergesearch.runs.config", {"torch", "transformers", "lm_eval"}),
    ],
)
def test_imports_stay_light(statement: str, forbidden: set[str]) -> None:
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())


def test_help_needs_no_torch() -> None:
    blocked = "import sys\nsys.modules['torch'] = None\nsys.argv = ['mergesearch', '--help']\n"
    script = blocked + "from mergesearch.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"}
    )
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("init", "validate", "run", "status", "report", "pick", "export"))

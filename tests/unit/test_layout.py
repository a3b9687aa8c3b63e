"""The tree speaks: small modules, and for each one that does something, tests of the same name."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MAX_LINES = 300
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("stt", "whisper_server")
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def has_functions(module: Path) -> bool:
    """Return whether it is more than data: constants, fields and types."""
    tree = ast.parse((ROOT / module).read_text())
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))


def test_there_are_modules_to_check() -> None:
    assert Path("stt/store/claims.py") in MODULES
    assert has_functions(Path("stt/store/claims.py"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_has_a_size_that_one_reads_at_a_sitting(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", [module for module in MODULES if has_functions(module)], ids=str)
def test_a_module_has_tests_of_its_name(module: Path) -> None:
    name = f"test_{module.stem}.py"
    places = [ROOT / "tests" / kind / module.parent / name for kind in ("unit", "integration")]
    assert any(place.exists() for place in places), f"write tests/unit/{module.parent}/{name}"

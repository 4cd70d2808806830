"""What `setup.py` declares is what the code imports, no more and no less."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import setuptools

ROOT = Path(__file__).parents[1]
PACKAGES = ("mnas", "devices", "latency_tables", "controllers")
#: what runs on boards only, in place of what is declared; and the modules beside benchmarks and tests
ELSEWHERE = {"tflite_runtime"}
OURS = {*PACKAGES, "tests", *(path.stem for path in (ROOT / "benchmarks").glob("*.py"))}


def imported(source: str) -> Iterator[str]:
    """The first parts of all that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0]


def distributions(sources: Iterable[str]) -> set[str]:
    """What must be installed for these modules."""
    names = {name for source in sources for name in imported(source)}
    owners = metadata.packages_distributions()
    foreign = names - sys.stdlib_module_names - OURS - ELSEWHERE
    return {normal(owners[name][0]) for name in foreign}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def python_files(*folders: str) -> list[str]:
    return [file.read_text(encoding="utf-8") for folder in folders for file in (ROOT / folder).rglob("*.py")]


def declared(requirements: Iterable[str]) -> set[str]:
    return {normal(re.split(r"[<>=,;\[ ]", requirement)[0]) for requirement in requirements}


@pytest.fixture
def setup_arguments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    monkeypatch.chdir(ROOT)
    file = ROOT / "setup.py"
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), {"__file__": str(file)})
    return given


def test_the_packages_need_exactly_what_is_installed_with_them(setup_arguments: dict[str, Any]) -> None:
    optional = declared(setup_arguments["extras_require"]["parquet"])  # imported where it is asked for
    known = declared(setup_arguments["install_requires"]) | optional
    assert distributions(python_files(*PACKAGES)) == known


def test_tests_and_benchmarks_need_nothing_beyond_the_dev_extra(setup_arguments: dict[str, Any]) -> None:
    known = declared([*setup_arguments["install_requires"], *setup_arguments["extras_require"]["dev"]])
    assert distributions(python_files("tests", "benchmarks")) - {"setuptools"} <= known


def test_notebooks_need_nothing_beyond_the_packages_but_a_kernel(setup_arguments: dict[str, Any]) -> None:
    sources = [
        "".join(cell["source"])
        for notebook in (ROOT / "notebooks").glob("*.ipynb")
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    assert distributions(sources) <= declared(setup_arguments["install_requires"]) | {"mnas"}
    assert declared(setup_arguments["extras_require"]["notebooks"]) == {"ipykernel"}


def test_every_declared_one_is_pinned_within_its_bounds(setup_arguments: dict[str, Any]) -> None:
    from packaging.requirements import Requirement

    pins = [line.split("==") for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
    versions = {normal(name): version for name, version in pins}
    # PyTorch is pinned nowhere: the one extra that CI goes without
    extras = [needs for name, needs in setup_arguments["extras_require"].items() if name != "gp"]
    for text in [*setup_arguments["install_requires"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[normal(requirement.name)]), text

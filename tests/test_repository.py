"""The repository as a whole: what it ships, what importing costs, what is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

ROOT = Path(__file__).parents[1]
PACKAGES = ("mnas", "devices", "latency_tables", "controllers")
HEAVY = (
    *("tensorflow", "keras", "optuna", "matplotlib", "pandas", "sklearn", "sqlalchemy", "ai_edge_litert"),
    *("paramiko", "adb_shell", "adbutils", "cryptography"),
)
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    return done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_stays_light(package: str) -> None:
    loaded = json.loads(_python(f"import {package}, sys, json; print(json.dumps(list(sys.modules)))"))
    assert not set(HEAVY) & set(loaded)


def test_help_needs_no_heavy_library() -> None:
    loaded = _python(
        "import sys, typer\nfrom mnas.cli import commands\nfrom mnas.cli.app import app\n"
        "commands.register(app); typer.main.get_command(app); print(*sys.modules)"
    ).split()
    assert not set(HEAVY) & set(loaded)


def test_the_distribution_holds_the_four_packages_and_nothing_else() -> None:
    listed = _python(
        "import setuptools, runpy\n"
        "seen = {}\n"
        "setuptools.setup = lambda **given: seen.update(given)\n"
        "runpy.run_path('setup.py')\n"
        "print(*seen['packages'])"
    ).split()
    assert {name.split(".")[0] for name in listed} == set(PACKAGES)
    on_disk = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for file in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed) == on_disk


@pytest.mark.parametrize("package", PACKAGES)
def test_the_error_tree_at_the_top_of_the_module_is_the_real_one(package: str) -> None:
    module = importlib.import_module(f"{package}.errors")
    drawn = re.findall(r"^[│├└─ ]*([A-Z]\w+)", inspect.getdoc(module) or "", re.MULTILINE)[1:]
    defined = [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    assert sorted(drawn) == sorted(defined)
    root = getattr(module, drawn[0])
    assert all(issubclass(getattr(module, name), root) for name in defined)


def test_every_module_says_what_it_knows() -> None:
    missing = [
        file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if not _docstring(file)
    ]
    assert missing == []


def _docstring(file: Path) -> str | None:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


def _commands() -> list[str]:
    from mnas.cli import commands
    from mnas.cli.app import app

    commands.register(app)
    found: list[str] = []

    def walk(command: Any, path: str) -> None:
        children = getattr(command, "commands", None)
        if not children:
            found.append(path)
        for name, child in (children or {}).items():
            walk(child, f"{path} {name}")

    walk(typer.main.get_command(app), "mnas")
    return found


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [command for command in _commands() if command not in text] == []


def test_every_registry_name_is_documented() -> None:
    import controllers.registry
    import mnas.data
    import mnas.recipes
    import mnas.spaces
    from devices.registry import ADDRESSES

    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = [
        *controllers.registry.names(),
        *mnas.data.names(),
        *mnas.recipes.names(),
        *mnas.spaces.names(),
        *ADDRESSES,
    ]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_key_of_an_inventory_is_documented_and_its_example_is_one() -> None:
    from devices.inventory.entry import READERS
    from devices.inventory.file import parse

    page = (ROOT / "docs" / "inventory.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(READERS)
    example = page.split("```toml\n")[1].split("```")[0]
    assert [entry.name for entry in parse(example)] == ["pixel6", "pixel6-gpu", "pi5"]


def test_every_command_shows_an_example() -> None:
    from mnas.cli import commands
    from mnas.cli.app import app

    commands.register(app)
    lacking: list[str] = []

    def walk(command: Any, path: str) -> None:
        children = getattr(command, "commands", None)
        if not children and "Example" not in (command.help or "") + str(command.epilog or ""):
            lacking.append(path)
        for name, child in (children or {}).items():
            walk(child, f"{path} {name}")

    walk(typer.main.get_command(app), "mnas")
    assert lacking == []


def test_requirements_pin_every_dependency_of_setup() -> None:
    pins = {
        re.split(r"[=<>!\[ ]", line)[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    declared = re.findall(r'^\s+"([A-Za-z-]+)(?:>=[^"]*)?",$', (ROOT / "setup.py").read_text(), re.MULTILINE)
    beyond_ci = {"torch"}  # of the extra gp, whose tests need its marker
    assert {name.lower() for name in declared} - beyond_ci <= pins
    assert len(declared) > 15


def test_warnings_are_errors_and_types_are_strict() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert settings["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    assert settings["mypy"]["strict"] is True

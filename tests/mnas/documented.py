"""The fields that docs/json.md lists for a command, and those of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "json.md"


def documented(command: str) -> set[str]:
    """The fields listed under `mnas COMMAND`."""
    section = PAGE.read_text().split(f"## mnas {command}\n")[1].split("\n## ")[0]
    return {row.split("`")[1] for row in section.splitlines() if row.startswith("| `")}


def fields(value: Any, name: str = "") -> set[str]:
    """The fields of a document as the page names them."""
    if isinstance(value, dict) and value:
        return {
            field for key, each in value.items() for field in fields(each, f"{name}.{key}" if name else key)
        }
    if isinstance(value, list) and value:
        return {field for each in value for field in fields(each, f"{name}[]")}
    return {f"{name}[]"} if isinstance(value, list) else {name}

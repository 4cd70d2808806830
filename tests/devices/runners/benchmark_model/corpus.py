"""The consoles in `consoles/`, and what `consoles.toml` says of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SAID: dict[str, dict[str, Any]] = tomllib.loads((HERE / "consoles.toml").read_text(encoding="utf-8"))
RESULTS = sorted(name for name, said in SAID.items() if "error" not in said)
FAILURES = sorted(name for name, said in SAID.items() if "error" in said)


def console(name: str) -> str:
    return (HERE / "consoles" / f"{name}.txt").read_text(encoding="utf-8")

"""Stands for Google's `benchmark_model` on the emulated phone."""

from __future__ import annotations

from typing import Any

from devices.emulator.resident import Caller


def load() -> None:
    """Load what every run needs."""


def run(caller: Caller, config: dict[str, Any]) -> int:
    """Run once; the exit code."""
    raise NotImplementedError(caller, config)

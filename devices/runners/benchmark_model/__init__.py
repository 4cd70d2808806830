"""The runner `benchmark_model`: the tool of TFLite and LiteRT, its command lines, consoles and failures."""

from __future__ import annotations

from devices.runners.benchmark_model.command import Offers, command
from devices.runners.benchmark_model.console import parse, parse_all
from devices.runners.benchmark_model.delegates import fallback, share
from devices.runners.benchmark_model.failures import failure
from devices.runners.benchmark_model.values import Applied, Delegates, Operator, Result, Statistics, Taken

__all__ = [
    "Applied",
    "Delegates",
    "Offers",
    "Operator",
    "Result",
    "Statistics",
    "Taken",
    "command",
    "failure",
    "fallback",
    "parse",
    "parse_all",
    "share",
]

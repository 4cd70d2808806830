"""A program that answers as `benchmark_model` does, at once, with a latency known from the model's content.

It stands on a board of the fault campaign, where a row with another model's latency must be found.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from devices.emulator import known_latency_ms
from devices.emulator.console import Figures, Stat, end, running, stat


def main() -> int:
    """Print one console; the exit code."""
    given = dict(word.removeprefix("--").partition("=")[::2] for word in sys.argv[1:])
    if "help" in given or "graph" not in given:
        sys.stderr.write("usage: benchmark_model\nFlags:\n\t--graph=\tstring\n\t--num_runs=50\tint32\n")
        return 1
    content = Path(given["graph"]).read_bytes()
    us = round(1000 * known_latency_ms(hashlib.sha256(content).hexdigest()))
    runs = Stat((us,) * max(1, int(float(given.get("num_runs", "2")))))
    lines = [
        "STARTING!",
        f"Graph: [{given['graph']}]",
        running(len(runs.runs_us), 0, 150, "2.x"),
        stat(runs, "2.x"),
    ]
    figures = Figures(1000, runs, runs, len(content), 100, 200)
    sys.stdout.write("\n".join([*lines, *end(figures, "2.x")]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

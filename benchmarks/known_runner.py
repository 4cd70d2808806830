"""A program that answers as `benchmark_model` does, at once, with a latency known from the model's content.

It stands on a board of the fault campaign, where a row with another model's latency must be found.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from devices.emulator import known_latency_ms
from devices.emulator.console import Figures, Stat, end, running, stat
from devices.emulator.flags import BadFlag, parse, usage

AGE = "2.x"


def main() -> int:
    """Print one console; the exit code."""
    try:
        given = parse(tuple(sys.argv[1:]), AGE)
    except BadFlag as error:
        sys.stderr.write(f"Failed to parse flag '{error}'\n")
        return 1
    if given.wants_help or not given.text("graph"):
        sys.stderr.write(usage(sys.argv[0], AGE))
        return 1
    content = Path(given.text("graph")).read_bytes()
    us = round(1000 * known_latency_ms(hashlib.sha256(content).hexdigest()))
    runs = Stat((us,) * max(1, int(given.number("num_runs"))))
    figures = Figures(1000, runs, runs, len(content), 100, 200)
    taken = "Replacing 1 out of 1 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions."
    lines = ["STARTING!", taken, running(len(runs.runs_us), 0, 150, AGE), stat(runs, AGE), *end(figures, AGE)]
    sys.stderr.write("".join(f"INFO: {line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())

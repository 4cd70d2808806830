"""Run an emulated phone for trying out: `python -m devices.emulator`; Ctrl-C ends it."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from devices.emulator.phone import BENCHMARK_MODEL, EmulatedPhone
from devices.errors import DevicesError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one until it is interrupted; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m devices.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on loopback; 0 takes a free one")
    parser.add_argument(
        "--key", type=Path, action="append", help="an adbkey.pub that may connect (or all may)"
    )
    parser.add_argument("--accept", action="store_true", help="accept every other key as well")
    parser.add_argument("--rooted", action="store_true", help="with a su")
    parser.add_argument(
        "--latency", choices=("real", "known", "operators"), default="real", help="what runs report"
    )
    parser.add_argument("--console", choices=("2.x", "2019"), default="2.x", help="age of what runs print")
    parser.add_argument("--gpu", choices=("works", "partial", "none"), default="works")
    parser.add_argument(
        "--profile", choices=("operators", "xnnpack", "partitions", "blocks", "none"), default="operators"
    )
    given = vars(parser.parse_args(arguments))
    keys = given.pop("key")
    if keys is None and given["accept"]:
        keys = []
    try:
        phone = EmulatedPhone(keys, **given)
    except DevicesError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with phone, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"{phone.address}\n")
        sys.stderr.write(
            f"to connect Google's adb: adb connect {phone.host}:{phone.port}\n"
            f"its files: {phone.root}\nits benchmark_model: {BENCHMARK_MODEL}\nCtrl-C ends it\n"
        )
        sys.stdout.flush()
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())

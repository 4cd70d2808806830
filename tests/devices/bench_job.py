"""A job on an emulated phone, as a process of its own that can be killed. Arguments: host, port, expiry."""

from __future__ import annotations

import sys
from hashlib import sha256

from devices import adb
from devices.bench.device import BenchDevice, Limits
from devices.bench.wanted import Wanted
from devices.emulator import BENCHMARK_MODEL
from devices.facts import machine
from devices.measurement import ModelFile, Pass, Settings
from devices.plan import Plan
from devices.runners.benchmark_model.device import BenchmarkModelDevice
from devices.shell import new_tag
from devices.survey import survey
from latency_tables.ops import OpSpec
from latency_tables.tflite import single, write

WORK = "/data/local/tmp/mnas"
PLAN = Plan(passes=40, warmup_runs=1, min_runs=3)


def open_phone(
    host: str, port: int, expiry_s: float, wanted: Wanted | None = None, limits: Limits | None = None
) -> BenchDevice:
    """The bench's device on a rooted phone, the program put there."""
    tag = new_tag()
    transport = adb.direct_tcp(host, port, tag=tag)
    content = BENCHMARK_MODEL.read_bytes()
    folder = f"{WORK}/bin/{sha256(content).hexdigest()}"
    transport.run(["mkdir", "-p", folder])
    transport.push(content, f"{folder}/benchmark_model")
    transport.run(["chmod", "755", f"{folder}/benchmark_model"])
    inner = BenchmarkModelDevice(
        "phone",
        transport,
        Settings(),
        WORK,
        sha256(content).hexdigest(),
        machine(survey(transport, WORK)),
    )
    address = f"adb://{host}:{port}"
    wanted = wanted or Wanted(governor="performance")
    limits = limits or Limits(reconnect_s=60.0)
    return BenchDevice(inner, transport, WORK, address, tag, wanted=wanted, limits=limits, expiry_s=expiry_s)


def models() -> list[ModelFile]:
    """Each with another number of outputs."""
    return [
        ModelFile(f"m{n}", write(single(OpSpec.parse(f"conv_2d/float32/1x8x8x8/1x8x8x{n}/k1x1/s1x1/same"))))
        for n in range(1, 5)
    ]


if __name__ == "__main__":
    for row in open_phone(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])).stream(models(), PLAN):
        sys.stdout.write(f"{row.model} {isinstance(row, Pass)}\n")
        sys.stdout.flush()

"""Examines a device, from reachability to its canary. `devices.checks` judges what is right and wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devices.bench.canary import History, canary_model, read
from devices.bench.device import BenchDevice
from devices.bench.lease import Holder, holder, host_holder
from devices.checks import Check, Level, checks, worst
from devices.errors import (
    DevicesError,
    HostKeyRejected,
    KeyRefused,
    RuntimeMissing,
    TransientError,
    Unauthorized,
)
from devices.facts import MachineFacts, machine, state
from devices.inventory.entry import Entry
from devices.reach import transport_to, work_folder
from devices.registry import open_entry
from devices.runners.benchmark_model.program import UNKNOWN, ask, version
from devices.runners.litert import LitertDevice
from devices.setup.installed import program_on, program_path, python_on
from devices.survey import survey
from devices.text import one_line
from devices.transport import Transport

OnEvent = Callable[[str], None]
#: devices that are asked at the same time
AT_ONCE = 16
ANSWER_S = 30.0
#: flags of benchmark_model that delegates need
_FLAGS = {
    "gpu": ("use_gpu",),
    "gpu-opencl": ("use_gpu", "gpu_backend"),
    "gpu-opengl": ("use_gpu", "gpu_backend"),
    "nnapi": ("use_nnapi",),
}
_LOCKED = (Unauthorized, KeyRefused, HostKeyRejected)


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at a device.

    Attributes:
        state: `ready`, `in use`, or in a word or two why it cannot be used, such as `offline`.
        said: what went wrong; empty where nothing did.
        machine: what it is; None where it could not be asked.
        holder: the job that has it; None where none has, or that is not known.
    """

    state: str
    said: str = ""
    machine: MachineFacts | None = None
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is right and wrong with one device.

    Attributes:
        machine: what it is; None where it could not be asked.
        checks: the findings, in the order in which they were made.
    """

    entry: Entry
    machine: MachineFacts | None
    checks: tuple[Check, ...]

    @property
    def level(self) -> Level:
        """The worst of its findings."""
        return worst(self.checks)


def glance(entry: Entry) -> Glance:
    """Look at one device; what goes wrong is part of the answer."""
    busy = host_holder(entry.address)
    try:
        transport = transport_to(entry.place)
        try:
            work = work_folder(transport, entry)
            found = machine(survey(transport, work))
            busy = busy or holder(transport)
        finally:
            transport.close()
    except DevicesError as error:
        return Glance(state_of(error), one_line(str(error)), holder=busy)
    return Glance("in use" if busy else "ready", machine=found, holder=busy)


def look(entry: Entry, on_event: OnEvent | None = None) -> MachineFacts:
    """What a device is.

    Raises:
        DevicesError: it cannot be asked.
    """
    transport = transport_to(entry.place, on_event=on_event)
    try:
        return machine(survey(transport, work_folder(transport, entry)))
    finally:
        transport.close()


def glances(entries: Sequence[Entry], on_done: Callable[[int], None] | None = None) -> list[Glance]:
    """Look at several devices at the same time; `on_done` is told how many have answered."""
    found = []
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        for one in pool.map(glance, entries):
            found.append(one)
            if on_done is not None:
                on_done(len(found))
    return found


def state_of(error: DevicesError) -> str:
    """An error as the state of a device, in a word or two."""
    return error.code.lower().replace("_", " ")


def examine(
    entry: Entry, folder: Path = Path(), *, canary: bool = True, on_event: OnEvent | None = None
) -> Diagnosis:
    """Examine one device; what goes wrong on the way is a finding.

    Args:
        folder: from which relative paths of the entry's libraries count.
        canary: also measure the canary model, where nobody else uses the device.
        on_event: told, in words, what is waited for.
    """
    began = time.monotonic()
    try:
        transport = transport_to(entry.place, on_event=on_event)
    except DevicesError as error:
        return Diagnosis(entry, None, unreachable(entry, error))
    try:
        try:
            transport.run(["true"], timeout_s=ANSWER_S)
            answered_s = time.monotonic() - began
            work = work_folder(transport, entry)
            asked = survey(transport, work)
        except DevicesError as error:
            return Diagnosis(entry, None, unreachable(entry, error))
        clock_s = time.time()
        facts = machine(asked)
        found = [*_reached(entry, answered_s), *_guarded(partial(_use, entry, transport), "in use")]
        found += [*checks(entry, facts, state(asked), clock_s)]
        found += _guarded(partial(_runtime, entry, transport, work), "runtime")
    finally:
        transport.close()
    if canary:
        usable = worst(found) != "fault" and not any(
            one.name == "in use" and one.level != "ok" for one in found
        )
        found += _canary(entry, folder, on_event) if usable else [_LEFT_OUT]
    return Diagnosis(entry, facts, tuple(found))


def unreachable(entry: Entry, error: DevicesError) -> tuple[Check, ...]:
    """The findings about a device that could not be asked."""
    said = one_line(str(error))
    if isinstance(error, _LOCKED):
        accepting = {
            Unauthorized: "unlock the phone and accept the key on its screen, then examine it again",
            KeyRefused: "let the device accept one of this host's keys, then examine it again",
            HostKeyRejected: "run that command if this is the board you expect",
        }[type(error)]
        return (Check("reachable", "ok", "it answers"), Check("authorised", "fault", said, accepting))
    transient = isinstance(error, TransientError)  # other messages say themselves what helps
    remedy = _REMEDIES.get(entry.place.scheme) if transient else None
    return (Check("reachable", "fault", said, remedy or "do what it says, then examine the device again"),)


_REMEDIES = {
    "adb": "plug it in, allow USB debugging in its developer options; adb devices must list it",
    "ssh": "switch it on and connect it to the network; ssh to it must work without a password",
}
_LEFT_OUT = Check("canary", "ok", "not measured: the device is in use or not fit")


def _reached(entry: Entry, answered_s: float) -> list[Check]:
    found = [Check("reachable", "ok", f"answers in {1000 * answered_s:.0f} ms")]
    if entry.place.scheme != "local":
        found.append(Check("authorised", "ok", "this host's key is known there"))
    return found


def _use(entry: Entry, transport: Transport) -> list[Check]:
    if entry.place.scheme == "local":  # its jobs take turns burst by burst
        return []
    found = host_holder(entry.address) or holder(transport)
    if found is None:
        return [Check("in use", "ok", "by nobody")]
    return [Check("in use", "warning", f"by {found}", "wait for it: --wait SECONDS does")]


def _guarded(look: Callable[[], list[Check]], name: str) -> list[Check]:
    try:
        return look()
    except DevicesError as error:
        return [
            Check(
                name,
                "fault",
                one_line(str(error)),
                "see what the message says, then examine the device again",
            )
        ]


def _runtime(entry: Entry, transport: Transport, work: str) -> list[Check]:
    """Whether what measures is there and works, by asking it."""
    remedy = f"mnas devices setup {entry.name}"
    try:
        if entry.runner == "benchmark_model":
            sha256 = program_on(transport, work, entry)
            path = program_path(work, sha256)
            offers, known = ask(transport, path), version(transport, path)
            said = f"benchmark_model{'' if known == UNKNOWN else f' {known}'}, sha256 {sha256[:12]}"
            if missing := [flag for flag in _FLAGS.get(entry.delegate, ()) if flag not in offers]:
                return [
                    Check(
                        "runtime",
                        "fault",
                        f"{said}; it has no --{missing[0]}, which {entry.delegate} needs",
                        remedy,
                    )
                ]
            return [Check("runtime", "ok", said)]
        python = python_on(transport, work, entry)
        device = LitertDevice(entry.name, transport_to(entry.place), entry.settings(), python)
        with closing(device):
            facts = device.facts
    except RuntimeMissing as error:
        return [Check("runtime", "fault", one_line(str(error)), remedy)]
    return [
        Check(
            "runtime",
            "ok",
            f"{facts.runtime} {facts.runtime_version} for Python {facts.python_version}",
        )
    ]


def _canary(entry: Entry, folder: Path, on_event: OnEvent | None) -> list[Check]:
    """The canary beside its history; measured as a job would."""
    remedy = "let the device cool and end what else runs there; mnas devices doctor again"
    model = canary_model()
    try:
        with closing(open_entry(entry, folder=folder, on_event=on_event)) as device:
            if isinstance(device, BenchDevice):
                verdict = device.canary()
            else:
                verdict = History.of(device.facts, device.settings, model).take(read(device, model))
    except DevicesError as error:
        return [Check("canary", "fault", one_line(str(error)), remedy)]
    if verdict is None:
        return [
            Check("canary", "warning", "the device cannot measure it", "mnas devices setup " + entry.name)
        ]
    if verdict.drifts:
        return [Check("canary", "warning", str(verdict), remedy)]
    return [Check("canary", "ok", str(verdict))]

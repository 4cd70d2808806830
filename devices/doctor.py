"""Examines a device, from reachability to its canary. `devices.checks` judges what is right and wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from devices.bench.canary import History, canary_model, read
from devices.bench.conditions import Conditions
from devices.bench.device import BenchDevice
from devices.bench.lease import Holder, Lease, holder, host_holder
from devices.checks import Check, Level, checks, worst
from devices.errors import DevicesError, RuntimeMissing, TooHot
from devices.facts import MachineFacts, machine, state
from devices.inventory.entry import Entry
from devices.reach import transport_to, work_folder
from devices.registry import open_entry
from devices.remedies import LOCKED, remedy
from devices.runners.benchmark_model.program import UNKNOWN, ask, version
from devices.runners.litert import LitertDevice
from devices.setup.installed import program_on, program_path, python_on
from devices.shell import new_tag
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
#: how long a canary waits until a device that is hot or slowed down is as ever
COOLDOWN_S = 30.0


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
            busy = busy or _living(holder(transport))
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
    tag = new_tag()
    try:
        transport = transport_to(entry.place, tag, on_event)
    except DevicesError as error:
        return Diagnosis(entry, None, unreachable(entry, error))
    try:
        try:
            transport.run(["true"], timeout_s=ANSWER_S)
            answered_s = time.monotonic() - began
            work = work_folder(transport, entry)
            used = _guarded(partial(_use, entry, transport), "in use")
            if any(one.level == "ok" for one in used):
                used += _settings(entry, transport, work, tag, on_event)
            asked = survey(transport, work)
        except DevicesError as error:
            return Diagnosis(entry, None, unreachable(entry, error))
        clock_s = time.time()
        facts = machine(asked)
        found = [*_reached(entry, answered_s), *used, *checks(entry, facts, state(asked), clock_s)]
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
    said, helps = one_line(str(error)), remedy(entry.place, error)
    if isinstance(error, tuple(LOCKED)):
        return (Check("reachable", "ok", "it answers"), Check("authorised", "fault", said, helps))
    return (Check("reachable", "fault", said, helps),)


_LEFT_OUT = Check("canary", "ok", "not measured: the device is in use or not fit")


def _reached(entry: Entry, answered_s: float) -> list[Check]:
    found = [Check("reachable", "ok", f"answers in {1000 * answered_s:.0f} ms")]
    if entry.place.scheme != "local":
        found.append(Check("authorised", "ok", "this host's key is known there"))
    return found


def _use(entry: Entry, transport: Transport) -> list[Check]:
    if entry.place.scheme == "local":  # its jobs take turns burst by burst
        return []
    found = host_holder(entry.address) or _living(holder(transport))
    if found is None:
        return [Check("in use", "ok", "by nobody")]
    return [Check("in use", "warning", f"by {found}", "wait for it: --wait SECONDS does")]


def _living(found: Holder | None) -> Holder | None:
    """A job that has a device; None where it has ended: the next one takes over at once."""
    return None if found is None or found.is_gone else found


def _settings(
    entry: Entry, transport: Transport, work: str, tag: str, on_event: OnEvent | None
) -> list[Check]:
    """Put back what a job left changed that ended before it could; nothing to say where none did."""
    conditions = Conditions(transport, work, entry.address)
    try:
        if not conditions.has_leftover():
            return []
        lease = Lease(transport, work, entry.address, tag, on_event=on_event)
        lease.acquire()
        try:
            left = conditions.restore()
        finally:
            lease.release()
    except DevicesError as error:
        said = f"an earlier job left some changed, which could not be put back: {one_line(str(error))}"
        return [Check("settings", "warning", said, "examine it again, or start the device anew")]
    if left:
        said = f"what an earlier job left is {'; '.join(left)}"
        return [Check("settings", "warning", said, "start the device anew, then examine it again")]
    return [Check("settings", "ok", "put back what an earlier job left")]


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
    setup = f"mnas devices setup {entry.name}"
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
                        setup,
                    )
                ]
            return [Check("runtime", "ok", said)]
        python = python_on(transport, work, entry)
        device = LitertDevice(entry.name, transport_to(entry.place), entry.settings(), python)
        with closing(device):
            facts = device.facts
    except RuntimeMissing as error:
        return [Check("runtime", "fault", one_line(str(error)), setup)]
    return [
        Check(
            "runtime",
            "ok",
            f"{facts.runtime} {facts.runtime_version} for Python {facts.python_version}",
        )
    ]


def _canary(entry: Entry, folder: Path, on_event: OnEvent | None) -> list[Check]:
    """The canary beside its history; measured as a job would."""
    helps = "let the device cool and end what else runs there; mnas devices doctor again"
    model, why = canary_model(), ""
    if entry.place.scheme != "local":  # whose jobs wait for nothing
        patience_s = COOLDOWN_S if entry.cooldown_s is None else min(COOLDOWN_S, entry.cooldown_s)
        entry = replace(entry, cooldown_s=patience_s)
    try:
        with closing(open_entry(entry, folder=folder, on_event=on_event)) as device:
            if isinstance(device, BenchDevice):
                verdict = device.canary()
                why = "; ".join(device.notes[-1:])
            else:
                verdict = History.of(device.facts, device.settings, model).take(read(device, model))
    except TooHot as error:
        return [Check("canary", "warning", f"not measured: {one_line(str(error))}", helps)]
    except DevicesError as error:
        return [Check("canary", "fault", one_line(str(error)), helps)]
    if verdict is None:
        return [Check("canary", "warning", one_line(why), f"mnas devices setup {entry.name}")]
    if verdict.drifts:
        return [Check("canary", "warning", str(verdict), helps)]
    return [Check("canary", "ok", str(verdict))]

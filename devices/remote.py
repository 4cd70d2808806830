"""Puts a phone or a board together: the way there, what measures there, and what makes it worth believing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from devices.bench.canary import canary_model
from devices.bench.device import BenchDevice, Limits
from devices.bench.in_use import wait_until_free
from devices.bench.wanted import Wanted
from devices.checks import limit_c, measuring_cores
from devices.device import Device
from devices.facts import MachineFacts, big_cores, machine
from devices.inventory.entry import Entry, check_cores
from devices.measurement import Settings
from devices.reach import transport_to, work_folder
from devices.runners.benchmark_model.device import BenchmarkModelDevice
from devices.runners.litert import LitertDevice
from devices.setup.installed import program_on, python_on
from devices.shell import new_tag
from devices.staging import Staging
from devices.survey import survey
from devices.transport import Transport


def open_remote(
    entry: Entry,
    settings: Settings,
    folder: Path,
    *,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Device:
    """The phone or board of an entry (see `devices.registry.open_entry`)."""
    tag = new_tag()
    transport = transport_to(entry.place, tag, on_event)
    try:
        wait_until_free(
            transport, entry.address, wait_s, on_event
        )  # before anything disturbs who measures there
        work = work_folder(transport, entry)
        found = machine(survey(transport, work))
        check_cores(settings.cpus, found.cores)
        inner = _runner(
            entry, settings, transport, work, found, libraries=_libraries(entry, settings, folder)
        )
        limits = Limits(limit_c(entry, found.android))
        if entry.cooldown_s is not None:
            limits = replace(limits, cooldown_s=entry.cooldown_s)
        cores = measuring_cores(replace(entry, threads=settings.threads, cpus=settings.cpus), found)
        return BenchDevice(
            inner,
            transport,
            work,
            entry.address,
            tag,
            wanted=Wanted(entry.governor, entry.frequency_khz, entry.stay_awake, cores or None),
            limits=limits,
            reference=canary_model(),
            wait_s=wait_s,
            on_event=on_event,
        )
    except BaseException:
        transport.close()
        raise


def _runner(
    entry: Entry,
    settings: Settings,
    transport: Transport,
    work: str,
    found: MachineFacts,
    *,
    libraries: Sequence[Path],
) -> Device:
    if entry.runner == "benchmark_model":
        return BenchmarkModelDevice(
            entry.name,
            transport,
            settings,
            work,
            program_on(transport, work, entry),
            found,
            libraries,
        )
    if settings.cpus is None and len(found.clusters) > 1:  # the worker knows no kinds of cores
        settings = replace(settings, cpus=big_cores(found.clusters, settings.threads))
    python = python_on(transport, work, entry)
    return LitertDevice(
        entry.name, transport, settings, python, staging=Staging(transport, work), machine=found
    )


def _libraries(entry: Entry, settings: Settings, folder: Path) -> list[Path]:
    """Files on this host that the delegate needs there, an external delegate itself among them.

    An external delegate that is no file here has to be one there, by an absolute path.
    """
    libraries = [folder / Path(library).expanduser() for library in entry.libraries]
    kind, _, library = settings.delegate.partition(":")
    if kind != "external" or any(one.name == Path(library).name for one in libraries):
        return libraries
    own = (folder if settings.delegate == entry.delegate else Path()) / Path(library).expanduser()
    return [own, *libraries] if own.exists() or not library.startswith("/") else libraries

"""A machine and what runs models on it, as the facts of a device. Asks no device."""

from __future__ import annotations

from collections.abc import Callable

from devices.errors import UnreadableOutput
from devices.facts import MachineFacts, cores, cpu_model, memory_bytes, operating_system
from devices.measurement import DeviceFacts


def device_facts(
    machine: MachineFacts,
    address: str,
    *,
    runtime: str,
    runtime_version: str,
    runtime_sha256: str | None = None,
    python_version: str | None = None,
    told_cores: int | None = None,
) -> DeviceFacts:
    """The facts of a device at an address.

    Args:
        machine: what the device is.
        address: its name in facts and messages.
        runtime: what runs models there.
        runtime_version: `unknown` where it does not tell.
        runtime_sha256: of the program that runs models, where it is one file.
        python_version: of the Python that runs the worker.
        told_cores: what the runtime says of the cores, for machines that do not.

    Raises:
        UnreadableOutput: nobody tells how many cores there are.
    """
    known = machine.cores or told_cores
    if not known:
        raise UnreadableOutput(f"{address}: its /proc/cpuinfo names no cores")
    model = f"{machine.model}, {machine.cpu_model}" if machine.model else machine.cpu_model
    return DeviceFacts(
        address=address,
        machine=machine.machine,
        cpu_model=model,
        cores=known,
        memory_bytes=machine.memory_bytes,
        operating_system=machine.operating_system,
        python_version=python_version,
        runtime=runtime,
        runtime_version=runtime_version,
        runtime_sha256=runtime_sha256,
        abi=machine.abi,
        soc=machine.soc,
        clusters=machine.clusters,
        os_build=machine.os_build,
        identity=machine.identity,
    )


def unsurveyed(machine: str, read: Callable[[str], str]) -> MachineFacts:
    """A machine by its few files that every Linux has, for one that needs no survey: this one.

    Args:
        machine: what `uname -m` says.
        read: the text of a file, empty where there is none.
    """
    cpuinfo, kernel = read("/proc/cpuinfo"), read("/proc/sys/kernel/osrelease")
    return MachineFacts(
        machine=machine,
        abi=None,
        soc=None,
        model=None,
        cpu_model=cpu_model(cpuinfo, machine),
        cores=cores(cpuinfo),
        clusters=(),
        memory_bytes=memory_bytes(read("/proc/meminfo")),
        operating_system=operating_system(read("/etc/os-release"), f"Linux {kernel.strip()}"),
        os_build=None,
        android=False,
    )

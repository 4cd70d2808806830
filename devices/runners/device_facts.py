"""A machine and what runs models on it, as the facts of a device. Asks no device."""

from __future__ import annotations

from devices.errors import UnreadableOutput
from devices.facts import MachineFacts
from devices.measurement import DeviceFacts


def device_facts(
    machine: MachineFacts,
    address: str,
    *,
    runtime: str,
    runtime_version: str,
    runtime_sha256: str | None = None,
    python_version: str | None = None,
    cores: int | None = None,
) -> DeviceFacts:
    """The facts of a device at an address.

    Args:
        machine: what the device is.
        address: its name in facts and messages.
        runtime: what runs models there.
        runtime_version: `unknown` where it does not tell.
        runtime_sha256: of the program that runs models, where it is one file.
        python_version: of the Python that runs the worker.
        cores: what the runtime says, for machines that do not.

    Raises:
        UnreadableOutput: nobody tells how many cores there are.
    """
    known = machine.cores or cores
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
    )

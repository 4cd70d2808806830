"""A processor's cores out of the kernel's texts: clusters, frequencies, which are the fast ones.

Knows /proc/cpuinfo and the cpufreq tree as `devices.survey` prints them. Reads nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devices.facts.linux import records
from devices.measurement import Cluster

#: more cores than any phone or board has: a figure above is not a core's number
MOST_CORES = 1024
#: cores by (implementer, part), as Arm and its licensees number them
PARTS = {
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4",
    (0x41, 0xD85): "Cortex-X925",
    (0x41, 0xD87): "Cortex-A725",
    (0x48, 0xD40): "Cortex-A76 (Kirin)",
    (0x4E, 0x003): "Denver 2",
    (0x4E, 0x004): "Carmel",
    (0x51, 0x205): "Kryo",
    (0x51, 0x211): "Kryo",
    (0x51, 0x800): "Kryo 2xx Gold",
    (0x51, 0x801): "Kryo 2xx Silver",
    (0x51, 0x802): "Kryo 3xx Gold",
    (0x51, 0x803): "Kryo 3xx Silver",
    (0x51, 0x804): "Kryo 4xx Gold",
    (0x51, 0x805): "Kryo 4xx Silver",
}
_ATTRIBUTE = re.compile(r"(policy|cpu)([0-9]{1,4})/([a-z_]+)=(.*)")


@dataclass(frozen=True, slots=True)
class Policy:
    """Cores whose frequency is set together, as the kernel's cpufreq has them now. Unknown is None.

    Attributes:
        directory: its folder below /sys/devices/system/cpu: `cpufreq/policy4`, on old kernels `cpu4/cpufreq`.
        cpus: the cores it sets, those switched off included.
        governor: how the frequency is chosen.
        governors: those that can be set.
        min_khz: the lowest frequency allowed now.
        max_khz: the highest frequency allowed now; heat and power modes lower it.
        current_khz: the frequency asked for now.
        lowest_khz: what the cores can go down to.
        highest_khz: what the cores can go up to.
        steps_khz: the frequencies there are, rising; empty where the kernel lists none.
    """

    directory: str
    cpus: tuple[int, ...]
    governor: str | None = None
    governors: tuple[str, ...] = ()
    min_khz: int | None = None
    max_khz: int | None = None
    current_khz: int | None = None
    lowest_khz: int | None = None
    highest_khz: int | None = None
    steps_khz: tuple[int, ...] = ()


def cpu_list(text: str) -> tuple[int, ...]:
    """Core numbers out of `0-3,6` or `0 1 2 3`; empty where the text is anything else."""
    found: set[int] = set()
    for word in re.split(r"[,\s]+", text.strip()):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", word)
        if not match:
            return ()
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < MOST_CORES:
            return ()
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def policies(cpufreq: str) -> tuple[Policy, ...]:
    """The policies in the text of the cpufreq tree: lines such as `policy4/scaling_governor=schedutil`.

    Old kernels have the same attributes for every core (`cpu4/...`): a policy is then its first core's.
    """
    trees: dict[str, dict[int, dict[str, str]]] = {"policy": {}, "cpu": {}}
    for line in cpufreq.splitlines():
        if match := _ATTRIBUTE.fullmatch(line.strip()):
            trees[match[1]].setdefault(int(match[2]), {}).setdefault(match[3], match[4].strip())
    kind = "policy" if trees["policy"] else "cpu"
    found: dict[tuple[int, ...], Policy] = {}
    for number, values in sorted(trees[kind].items()):
        cpus = (
            cpu_list(values.get("related_cpus", "")) or cpu_list(values.get("affected_cpus", "")) or (number,)
        )
        directory = f"cpufreq/policy{number}" if kind == "policy" else f"cpu{number}/cpufreq"
        found.setdefault(cpus, _policy(directory, cpus, values))
    return tuple(found.values())


def clusters(
    cpuinfo: str, cpufreq: str = "", capacities: str = "", packages: str = ""
) -> tuple[Cluster, ...]:
    """Kinds of cores, the slowest first.

    Cores belong together when they are the same part and reach the same frequency; where no frequencies are
    told, when the kernel has them in one package. Cores that are switched off are in no /proc/cpuinfo, but in
    the policy that sets their frequency.

    Args:
        cpuinfo: text of /proc/cpuinfo.
        cpufreq: text of the cpufreq tree, as for `policies`.
        capacities: the kernel's own measure of the cores, lines such as `cpu4=1024`.
        packages: the kernel's topology, lines such as `cpu4=1`.
    """
    parts = _parts(cpuinfo)
    known = {cpu: (policy.cpus, policy.highest_khz) for policy in policies(cpufreq) for cpu in policy.cpus}
    capacity, package = _by_core(capacities), {} if known else _by_core(packages)
    groups: dict[tuple[int | None, str | None, int | None, int | None], list[int]] = {}
    for cpu in sorted({*parts, *known}):
        related, khz = known.get(cpu, ((), None))
        one_kind = {parts[other] for other in related if parts.get(other)}
        part = parts.get(cpu) or (one_kind.pop() if len(one_kind) == 1 else None)
        groups.setdefault((khz, part, capacity.get(cpu), package.get(cpu)), []).append(cpu)
    told = all(measure is not None for _, _, measure, _ in groups)
    order = sorted(
        groups.items(), key=lambda item: ((item[0][2] or 0) if told else 0, item[0][0] or 0, item[1])
    )
    return tuple(Cluster(tuple(cpus), khz, part) for (khz, part, _, _), cpus in order)


def big_cores(clusters: Sequence[Cluster], threads: int = 1) -> tuple[int, ...] | None:
    """The cores to measure on: the fastest cluster that has a core for each thread.

    Threads on cores of different kinds wait for the slowest, now these and now those; so one cluster is taken
    before several. The slowest cluster is only taken where there is no other way.

    Args:
        clusters: the slowest first, as `DeviceFacts.clusters` has them.
        threads: of the runtime.

    Returns:
        Core numbers, rising; None where no clusters are known or there are fewer cores than threads.
    """
    for cluster in reversed(clusters[1:] or clusters):
        if len(cluster.cpus) >= threads:
            return tuple(sorted(cluster.cpus))
    taken: list[int] = []
    for cluster in reversed(clusters):
        taken += cluster.cpus
        if len(taken) >= threads:
            return tuple(sorted(taken))
    return None


def describe(clusters: Sequence[Cluster]) -> str | None:
    """Clusters in words, the fastest first: `1x Cortex-X1 + 3x Cortex-A78`; None where a part is unknown."""
    if not clusters or not all(cluster.part for cluster in clusters):
        return None
    return " + ".join(f"{len(cluster.cpus)}x {cluster.part}" for cluster in reversed(clusters))


def _policy(directory: str, cpus: tuple[int, ...], values: Mapping[str, str]) -> Policy:
    steps = [int(step) for step in re.findall(r"[0-9]{4,9}", values.get("scaling_available_frequencies", ""))]
    current = _khz(values, "scaling_cur_freq")
    return Policy(
        directory=directory,
        cpus=cpus,
        governor=governor(values.get("scaling_governor", "")),
        governors=tuple(filter(governor, values.get("scaling_available_governors", "").split())),
        min_khz=_khz(values, "scaling_min_freq"),
        max_khz=_khz(values, "scaling_max_freq"),
        current_khz=_khz(values, "cpuinfo_cur_freq") if current is None else current,
        lowest_khz=_khz(values, "cpuinfo_min_freq"),
        highest_khz=_khz(values, "cpuinfo_max_freq"),
        steps_khz=tuple(sorted(set(steps))),
    )


def governor(text: str) -> str | None:
    """The name of a governor, None where the text cannot be one."""
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,31}", text) else None


def _by_core(text: str) -> dict[int, int]:
    return {
        int(cpu): int(figure) for cpu, figure in re.findall(r"^cpu([0-9]{1,4})=([0-9]{1,6})$", text, re.M)
    }


def _khz(values: Mapping[str, str], key: str) -> int | None:
    text = values.get(key, "")
    return int(text) if re.fullmatch(r"[1-9][0-9]{3,8}", text) else None


def _parts(cpuinfo: str) -> dict[int, str | None]:
    """The part of each core. Some kernels print it once, below all cores, for all."""
    found: dict[int, str | None] = {}
    shared: str | None = None
    for record in records(cpuinfo):
        number = record.get("processor", "")
        name = _part(record)
        if re.fullmatch(r"[0-9]{1,4}", number) and int(number) < MOST_CORES:
            found[int(number)] = name
        shared = name or shared
    return {cpu: name or shared for cpu, name in found.items()}


def _part(record: Mapping[str, str]) -> str | None:
    try:
        implementer, part = int(record["CPU implementer"], 16), int(record["CPU part"], 16)
    except (KeyError, ValueError):
        return None
    return PARTS.get((implementer, part), f"part {part:#05x} of {implementer:#04x}")

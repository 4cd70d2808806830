from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.bench.wanted import Wanted, plan_for
from devices.facts import DeviceState, processor
from devices.measurement import Cluster

TEXTS = Path(__file__).with_name("texts")
#: Snapdragon 888
PRIME = """policy0/related_cpus=0 1 2 3
policy0/scaling_governor=schedutil
policy0/scaling_available_governors=conservative powersave performance schedutil
policy0/scaling_min_freq=300000
policy0/scaling_max_freq=1804800
policy0/scaling_cur_freq=691200
policy0/cpuinfo_min_freq=300000
policy0/cpuinfo_max_freq=1804800
policy0/scaling_available_frequencies=300000 403200 691200 1804800
policy4/related_cpus=4 5 6
policy4/cpuinfo_max_freq=2419200
policy7/related_cpus=7
policy7/cpuinfo_max_freq=2841600
"""


def text(name: str) -> str:
    return (TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def test_policies() -> None:
    first, second, third = processor.policies(PRIME)
    assert first == processor.Policy(
        directory="cpufreq/policy0",
        cpus=(0, 1, 2, 3),
        governor="schedutil",
        governors=("conservative", "powersave", "performance", "schedutil"),
        min_khz=300000,
        max_khz=1804800,
        current_khz=691200,
        lowest_khz=300000,
        highest_khz=1804800,
        steps_khz=(300000, 403200, 691200, 1804800),
    )
    assert (second.cpus, third.cpus) == ((4, 5, 6), (7,))


def listed(name: str) -> str:
    """What `grep . policyN/*` printed, as a survey prints it."""
    found = re.findall(r"^/sys/devices/system/cpu/cpufreq/(\w+/\w+):(.*)$", text(name), re.MULTILINE)
    return "".join(f"{attribute}={value}\n" for attribute, value in found)


def test_frequencies_above_the_steps_are_no_steps() -> None:
    """Boost is off: the cores do not reach what they can, and no heat is to blame."""
    (policy,) = processor.policies(listed("cpufreq_yoga_c630"))
    assert (policy.cpus, policy.governor) == ((4, 5, 6, 7), "schedutil")
    assert (policy.lowest_khz, policy.highest_khz) == (825600, 2956800)
    assert (policy.min_khz, policy.max_khz, policy.current_khz) == (825600, 2841600, 1920000)
    assert policy.steps_khz[-1] == 2841600
    plan = plan_for(DeviceState(policies=(policy,), privilege="root"), Wanted(None, 2956800))
    assert [one.value for one in plan.writes] == ["825600", "2841600", "2841600"]


def test_a_kernel_that_tells_the_measured_frequency_only() -> None:
    (policy,) = processor.policies(listed("cpufreq_ssd202d"))
    assert (policy.current_khz, policy.highest_khz, policy.steps_khz[-1]) == (599999, 1700000, 1296000)
    assert policy.governors == ("ondemand", "performance")


def test_kernels_without_policies() -> None:
    said = "".join(
        f"cpu{i}/related_cpus=0-3\ncpu{i}/scaling_governor=interactive\ncpu{i}/cpuinfo_max_freq=1512000\n"
        for i in range(4)
    )
    (policy,) = processor.policies(said)
    assert (policy.directory, policy.cpus, policy.governor) == ("cpu0/cpufreq", (0, 1, 2, 3), "interactive")


def test_hostile_policies() -> None:
    said = (
        "policy0/scaling_governor=a; reboot\n"
        "policy0/scaling_max_freq=1; reboot\n"
        "policy0/../../x=1\n"
        "policy99999/scaling_governor=x\n"
        "policy0/related_cpus=0-999999999\n"
        "policy0/scaling_available_governors=ok $(x) `y` ../z\n"
    )
    (policy,) = processor.policies(said)
    assert policy == processor.Policy("cpufreq/policy0", (0,), governors=("ok",))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("0-3", (0, 1, 2, 3)),
        ("0-1,4", (0, 1, 4)),
        ("0 1 2 3\n", (0, 1, 2, 3)),
        ("7", (7,)),
        ("", ()),
        ("3-1", ()),
        ("0-99999", ()),
        ("0-9999", ()),
        ("a", ()),
    ],
)
def test_lists_of_cores(said: str, expected: tuple[int, ...]) -> None:
    assert processor.cpu_list(said) == expected


def test_three_kinds_of_cores() -> None:
    found = processor.clusters(text("cpuinfo_oneplus_9pro"), PRIME)
    assert found == (
        Cluster((0, 1, 2, 3), 1804800, "Cortex-A55"),
        Cluster((4, 5, 6), 2419200, "Cortex-A78"),
        Cluster((7,), 2841600, "Cortex-X1"),
    )
    assert processor.describe(found) == "1x Cortex-X1 + 3x Cortex-A78 + 4x Cortex-A55"


def test_without_frequencies_cores_are_told_apart_by_part() -> None:
    found = processor.clusters(text("cpuinfo_pixel8pro"))
    assert [(one.cpus, one.part) for one in found] == [
        ((0, 1, 2, 3), "Cortex-A510"),
        ((4, 5, 6, 7), "Cortex-A715"),
        ((8,), "Cortex-X3"),
    ]


def test_one_part_at_two_speeds_is_two_clusters() -> None:
    cpufreq = (
        "policy0/related_cpus=0-3\npolicy0/cpuinfo_max_freq=1805000\npolicy4/related_cpus=4 5\n"
        "policy4/cpuinfo_max_freq=1920000\npolicy6/related_cpus=6 7\npolicy6/cpuinfo_max_freq=2600000\n"
    )
    found = processor.clusters(text("cpuinfo_huawei_p30"), cpufreq)
    assert [one.cpus for one in found] == [(0, 1, 2, 3), (4, 5), (6, 7)]
    assert {one.part for one in found[1:]} == {"Cortex-A76 (Kirin)"}


def test_one_part_printed_for_all_cores() -> None:
    (found,) = processor.clusters(text("cpuinfo_idol4"))
    assert found == Cluster(tuple(range(8)), None, "Cortex-A53")


def test_cores_that_are_switched_off_are_known_from_their_policy() -> None:
    online = text("cpuinfo_oneplus_9pro").split("processor    : 5")[0]
    found = processor.clusters(online, PRIME)
    assert [one.cpus for one in found] == [(0, 1, 2, 3), (4, 5, 6), (7,)]
    assert found[1].part == "Cortex-A78"


def test_the_kernels_own_measure_is_believed_before_the_frequency() -> None:
    """A Jetson TX2: two kinds of cores at one frequency."""
    cpuinfo = (
        "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd07\n\n"
        "processor : 1\nCPU implementer : 0x4e\nCPU part : 0x003\n"
    )
    cpufreq = (
        "policy0/related_cpus=0\npolicy0/cpuinfo_max_freq=2035200\n"
        "policy1/related_cpus=1\npolicy1/cpuinfo_max_freq=2035200\n"
    )
    assert [one.cpus for one in processor.clusters(cpuinfo, cpufreq, "cpu0=1024\ncpu1=900\n")] == [(1,), (0,)]
    assert [one.cpus for one in processor.clusters(cpuinfo, cpufreq, "cpu0=900\ncpu1=1024\n")] == [(0,), (1,)]


def test_packages_tell_clusters_apart_where_no_frequency_is_told() -> None:
    packages = "".join(f"cpu{i}={i // 4}\n" for i in range(8))
    assert [one.cpus for one in processor.clusters(text("cpuinfo_idol4"), "", "", packages)] == [
        (0, 1, 2, 3),
        (4, 5, 6, 7),
    ]
    cpufreq = "".join(f"policy{i}/related_cpus={i}\npolicy{i}/cpuinfo_max_freq=1500000\n" for i in range(8))
    assert len(processor.clusters(text("cpuinfo_idol4"), cpufreq, "", packages)) == 1


S888 = (Cluster((0, 1, 2, 3)), Cluster((4, 5, 6)), Cluster((7,)))
PIXEL6 = (Cluster((0, 1, 2, 3)), Cluster((4, 5)), Cluster((6, 7)))
PI = (Cluster((0, 1, 2, 3)),)


@pytest.mark.parametrize(
    ("clusters", "threads", "expected"),
    [
        (S888, 1, (7,)),
        (S888, 2, (4, 5, 6)),
        (S888, 4, (4, 5, 6, 7)),
        (S888, 5, tuple(range(8))),
        (S888, 9, None),
        (PIXEL6, 1, (6, 7)),
        (PIXEL6, 2, (6, 7)),
        (PIXEL6, 3, (4, 5, 6, 7)),
        (PI, 1, (0, 1, 2, 3)),
        (PI, 4, (0, 1, 2, 3)),
        ((), 1, None),
    ],
)
def test_big_cores(clusters: tuple[Cluster, ...], threads: int, expected: tuple[int, ...] | None) -> None:
    assert processor.big_cores(clusters, threads) == expected


@given(st.text(), st.text(), st.text())
def test_any_text_is_read(cpuinfo: str, cpufreq: str, capacities: str) -> None:
    processor.clusters(cpuinfo, cpufreq, capacities)
    processor.clusters(f"processor: {cpuinfo}", f"policy0/related_cpus={cpufreq}", f"cpu0={capacities}")

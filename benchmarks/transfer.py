"""How good is a table that is transferred to another device, by how many networks are measured there?

From one table, of the local device with one thread and float32, to four others: two threads, the runtime's
own kernels in place of XNNPACK (whose device has no profiler), int8 networks, and a worker reached over SSH.
On each the same samples are measured that `mnas table transfer` chooses, and networks that no table has seen.
Beside the transferred table stand a fresh one of the same cost, from as many networks and no other table:
operators that they lack are guessed from their shapes by the same regression; and a full table of the device,
where it has a profiler. Every table is re-anchored by the same networks, measured with those unseen.

Goal, with 20 samples, on every device: a table that is made, its own error being at most 10 %, is off on
unseen networks by at most 10 %, and by at most twice its own error. One that is refused does no harm; but of
all devices one at least must get a table.
"""

from __future__ import annotations

import random
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Verdict, at_least, finish, options, say, start
from reference_kernels import ReferenceKernels

from devices.device import Device
from devices.errors import DeviceTrouble
from devices.measurement import Failure, Settings
from devices.registry import open_device
from devices.runners.litert import LitertDevice
from devices.ssh import SshTransport
from devices.staging import Staging
from latency_tables.build import PLAN, build, sweep
from latency_tables.figures import Figure
from latency_tables.fitting.fit import Measured, fit
from latency_tables.fitting.ratios import nominal_ms
from latency_tables.fitting.statistics import network_ms
from latency_tables.measuring import bursts
from latency_tables.measuring.session import Session
from latency_tables.ops import Graph
from latency_tables.predict import Predictor
from latency_tables.records import Network, Origin
from latency_tables.store import LatencyTable
from latency_tables.transfer import MAX_ERROR_PERCENT, Transferred, transfer
from mnas.tables import TableRequest, held_out, networks_of, open_or_create
from mnas.transferring import Chooser, as_dtype

sys.path.append(str(Path(__file__).parents[1]))
from tests.devices.sshd import SSHD, running_sshd

COUNTS = (5, 10, 20, 40)
JUDGED = 20
#: the table's own error is honest where it is at least this share of the error on unseen networks
HONEST = 0.5
#: in the plot, by the way to a table
COLOURS = {
    "transferred": "C0",
    "transferred without a profile": "C1",
    "fresh, of the same cost": "C2",
    "full table": "0.4",
}


@contextmanager
def two_threads() -> Iterator[Device]:
    """The local device with two threads."""
    with closing(open_device("local", Settings(threads=2))) as device:
        yield device


@contextmanager
def one_thread() -> Iterator[Device]:
    """The local device as the first table has it."""
    with closing(open_device("local")) as device:
        yield device


@contextmanager
def reference_kernels() -> Iterator[Device]:
    """The runtime's own kernels on the local device's core."""
    with one_thread() as local:
        yield ReferenceKernels(local.facts, local.settings.cpus or (0,))


@contextmanager
def over_ssh() -> Iterator[Device]:
    """This machine behind an SSH server on the loopback."""
    if SSHD is None:
        raise DeviceTrouble("not installed here: sshd (Debian: openssh-server)")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mnas-transfer.")))
        server = stack.enter_context(running_sshd(folder))
        transport = SshTransport("board", config=server.config)
        staging = Staging(transport, f"{server.home}/.cache/mnas")
        yield stack.enter_context(closing(LitertDevice("ssh://board", transport, staging=staging)))


@dataclass(frozen=True, slots=True)
class Pair:
    """What a table is transferred to."""

    name: str
    dtype: str
    opened: Callable[[], AbstractContextManager[Device]]
    profile: bool = True


PAIRS = (
    Pair("1 to 2 threads", "float32", two_threads),
    Pair("XNNPACK to own kernels", "float32", reference_kernels, profile=False),
    Pair("float32 to int8", "int8", one_thread),
    Pair("local to SSH", "float32", over_ssh),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One way to come to a table, with so many networks measured on the device.

    Attributes:
        own_percent: the error that the table tells of itself; None where it tells none.
        own_low_percent: lower end of its 90 % interval; likewise.
        own_high_percent: upper end.
        mape_percent: mean absolute error on unseen networks, re-anchored.
        coverage_percent: of them, those within the 90 % interval of their prediction.
    """

    way: str
    samples: int
    own_percent: float | None
    own_low_percent: float | None
    own_high_percent: float | None
    mape_percent: float
    coverage_percent: float | None


def nominal(units: Sequence[str]) -> dict[str, Figure]:
    """Figures of no device, in proportions that are about usual."""
    return {
        unit: Figure(unit, nominal_ms(unit), None, None, "imported", 0, 0, 0, None, None) for unit in units
    }


def some(contents: Measured, names: Sequence[str], *, profile: bool) -> Measured:
    """Only what was measured of some networks, all of them anchors."""
    chosen = set(names)
    ms = {name: one for name, one in contents.samples_ms.items() if name in chosen}
    return Measured(
        networks=[replace(one, role="anchor") for one in contents.networks if one.name in chosen],
        samples_ms=ms,
        anchors_ms=ms,
        observations=[one for one in contents.observations if one.network in chosen] if profile else [],
    )


@dataclass(frozen=True, slots=True)
class Unseen:
    """Networks that no table has seen, and the anchors beside them, with their latencies."""

    networks: Sequence[tuple[Graph, float]]
    anchors: Sequence[tuple[Graph, float]]

    def judge(self, way: str, samples: int, predictor: Predictor, own: Transferred | None) -> Point:
        """How far a table is off."""
        speed = float(
            np.median([ms / predictor.predict(graph.specs).latency_ms for graph, ms in self.anchors])
        )
        found = [(predictor.predict(graph.specs), ms) for graph, ms in self.networks]
        errors = [100 * abs(speed * one.latency_ms - ms) / ms for one, ms in found]
        within = [
            speed * one.low_ms <= ms <= speed * one.high_ms
            for one, ms in found
            if one.low_ms is not None and one.high_ms is not None
        ]
        return Point(
            way,
            samples,
            None if own is None else own.mape_percent,
            None if own is None else own.low_percent,
            None if own is None else own.high_percent,
            float(np.mean(errors)),
            float(100 * np.mean(within)) if within else None,
        )


def measure(pair: Pair, source: LatencyTable, arguments: Namespace) -> list[Point]:
    """All ways to a table of one device."""
    request = replace(TableRequest.of_table(source), dtype=pair.dtype)
    figures = as_dtype(source.predictor().figures, pair.dtype)
    folder = arguments.folder / pair.name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with pair.opened() as device, ExitStack() as stack:
        samples = _sampled(folder / "samples.db", request, device, stack)
        chosen = Chooser(figures, request).choose(
            samples.networks(), max(arguments.counts), profile=pair.profile
        )
        samples.add_networks(chosen)
        _sweep(samples, device, arguments)
        if pair.profile:
            fresh = stack.enter_context(open_or_create(folder / "fresh.db", request, device))
            build(fresh, device, arguments.plan)
        else:
            fresh = _sampled(folder / "fresh.db", request, device, stack)
            fresh.add_networks(_mixed(networks_of(request))[: max(arguments.counts)])
            _sweep(fresh, device, arguments)
        unseen = _unseen(fresh, device, arguments)
    points = []
    there, anew = samples.contents(), fresh.contents()
    for count in arguments.counts:
        names = [one.name for one in samples.networks()][:count]
        others = [one.name for one in _mixed(fresh.networks())][:count]
        for way, known, contents, networks, profile in (
            ("transferred", figures, there, names, pair.profile),
            ("transferred without a profile", figures, there, names, False),
            ("fresh, of the same cost", nominal(list(figures)), anew, others, pair.profile),
        ):
            if way == "transferred without a profile" and not pair.profile:
                continue
            part = some(contents, networks, profile=profile)
            found = transfer(known, part, pair.name)
            own = found if way.startswith("transferred") else None
            predictor = fit(replace(part, given=found.figures), pair.name)
            points.append(unseen.judge(way, count, predictor, own))
            _tell(arguments, pair, points[-1])
    if pair.profile:
        points.append(unseen.judge("full table", len(fresh.networks()), fresh.predictor(), None))
        _tell(arguments, pair, points[-1])
    return points


def _sampled(path: Path, request: TableRequest, device: Device, stack: ExitStack) -> LatencyTable:
    if LatencyTable.exists(path):
        return stack.enter_context(LatencyTable.open(path))
    origin = Origin(asdict(request), device.facts, device.settings)
    return stack.enter_context(LatencyTable.create(path, origin, []))


def _sweep(table: LatencyTable, device: Device, arguments: Namespace) -> None:
    session = Session(table, device, arguments.plan)
    for _ in range(2):  # once more, whole, where it turns out that there is no profiler
        sweep(session, list(session.networks), "networks")
    if failures := table.failures():
        raise DeviceTrouble(f"{failures[0].network}: {failures[0].message}")


def _mixed(networks: Sequence[Network]) -> list[Network]:
    """Covering networks and anchors in turns: what a table that is begun would best measure first."""
    covering = [one for one in networks if one.role == "cover"]
    anchors = [one for one in networks if one.role != "cover"]
    ahead = [one for pair in zip(anchors, covering, strict=False) for one in pair]
    return [*ahead, *covering[len(anchors) :], *anchors[len(covering) :]]


def _unseen(table: LatencyTable, device: Device, arguments: Namespace) -> Unseen:
    """Measure networks that no table has seen, and anchors among them, in shuffled passes."""
    anchors = [one for one in table.networks() if one.role == "anchor"][:20]
    jobs = dict(held_out(table, arguments.networks, 5))
    jobs |= {one.name: one.graph for one in anchors}
    plan = replace(arguments.plan, per_operator=False, reference=None)
    passes: dict[str, list[tuple[float, ...]]] = {name: [] for name in jobs}
    for number in range(arguments.passes):
        order = list(jobs)
        random.Random(number).shuffle(order)
        for result in bursts.stream(device, [bursts.Job(name, jobs[name]) for name in order], plan, number):
            if isinstance(result, Failure):
                raise DeviceTrouble(f"{result.model}: {result.message}")
            passes[result.model].append(result.distribution_ms)
    found = {name: (graph, network_ms(passes[name])) for name, graph in jobs.items()}
    known = {one.name for one in anchors}
    return Unseen(
        [one for name, one in found.items() if name not in known],
        [one for name, one in found.items() if name in known],
    )


def _tell(arguments: Namespace, pair: Pair, point: Point) -> None:
    own = "" if point.own_percent is None else f"{point.own_percent:10.2f}"
    say(
        arguments,
        f"{pair.name:24} {point.way:30} {point.samples:8} {point.mape_percent:10.2f} {own:>10} "
        f"{'' if point.coverage_percent is None else f'{point.coverage_percent:.0f}':>9}",
    )


def judge(found: Mapping[str, Sequence[Point]]) -> Verdict:
    """Whether transferred tables keep what they say of themselves, and there is one at least."""
    words = []
    kept = True
    made = 0
    for name, points in found.items():
        count = max(point.samples for point in points if point.samples <= JUDGED)
        at = {point.way: point for point in points if point.samples == count}
        ours, fresh = at["transferred"], at["fresh, of the same cost"]
        own = ours.own_percent
        if own is None:
            raise ValueError(f"{name}: a transferred table tells no error of its own")
        refused = own > MAX_ERROR_PERCENT
        made += not refused
        kept &= refused or (ours.mape_percent <= MAX_ERROR_PERCENT and own >= HONEST * ours.mape_percent)
        words.append(
            f"{name}: {ours.mape_percent:.2f} % with {count} samples, {own:.2f} % by its own account"
            f"{', so refused' if refused else ''}; fresh {fresh.mape_percent:.2f} %"
        )
    return Verdict(
        kept and made > 0,
        f"{'. '.join(words)}. {made} of {len(found)} transfer (goal: at least one, and each that does is off "
        "by at most 10 % and at most twice its own)",
    )


def plot(found: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Error against samples, a panel for each pair."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(4.2 * len(found), 3.8), squeeze=False)
    for panel, (name, points) in zip(panels[0], found.items(), strict=True):
        for way in dict.fromkeys(point.way for point in points):
            mine = [point for point in points if point.way == way]
            if way == "full table":
                panel.axhline(mine[0].mape_percent, color=COLOURS[way], linestyle=":", label=way)
                continue
            at = [point.samples for point in mine]
            panel.plot(at, [point.mape_percent for point in mine], "o-", color=COLOURS[way], label=way)
            own = [point for point in mine if point.own_low_percent is not None]
            if own and way == "transferred":
                panel.fill_between(
                    [point.samples for point in own],
                    [point.own_low_percent or 0.0 for point in own],
                    [point.own_high_percent or 0.0 for point in own],
                    color=COLOURS[way],
                    alpha=0.15,
                    label="its own account, 90 %",
                )
        panel.set(title=name, xlabel="networks measured on the device", xscale="log", yscale="log")
        panel.set_xticks([point.samples for point in points if point.way == "transferred"], minor=False)
        low, high = panel.get_ylim()
        panel.set_yticks([tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if low <= tick <= high])
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("mean absolute error on unseen networks, %")
    named = {
        label: line
        for panel in panels[0]
        for line, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.legend(named.values(), named.keys(), loc="lower center", ncols=len(named), fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Build the first table, measure each pair, print a line for each point, plot, judge."""
    parser = options((__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--folder", type=Path, help="keeps the tables and the plot; goes on with what is there"
    )
    parser.add_argument("--resolution", type=at_least(32), default=224, help="pixels (default 224)")
    parser.add_argument("--networks", type=at_least(4), default=40, help="unseen ones (default 40)")
    parser.add_argument("--passes", type=at_least(1), default=3, help="of every network (default 3)")
    parser.add_argument("--pairs", type=at_least(1), nargs="+", help="numbers from 1 (default all four)")
    arguments = parser.parse_args()
    arguments.counts, space = COUNTS, {"name": "mnasnet", "resolution": arguments.resolution}
    if arguments.tiny:
        arguments.counts, arguments.networks, arguments.passes = (4,), 4, 1
        space = {"name": "mnasnet-small-images", "resolution": 28, "width": 0.05, "classes": 10, "anchors": 4}
    arguments.plan = replace(PLAN, passes=arguments.passes)
    if arguments.tiny:
        arguments.plan = replace(arguments.plan, min_runs=3, min_time_s=0.0)
    pairs = [
        PAIRS[number - 1] for number in arguments.pairs or range(1, len(PAIRS) + 1) if number <= len(PAIRS)
    ]
    with ExitStack() as stack:
        if arguments.folder is None:
            arguments.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mnas-transfer.")))
        arguments.folder.mkdir(parents=True, exist_ok=True)
        with one_thread() as device:
            request = TableRequest.for_space(**space)
            source = stack.enter_context(open_or_create(arguments.folder / "from.db", request, device))
            build(source, device, arguments.plan)
        say(
            arguments,
            f"{'pair':24} {'way':30} {'networks':>8} {'MAPE %':>10} {'own %':>10} {'within %':>9}",
        )
        found = {pair.name: measure(pair, source, arguments) for pair in pairs}
        place = arguments.folder / "transfer.png"
        plot(found, place)
        say(arguments, f"plot: {place}")
    document: dict[str, Any] = {
        "space": space,
        "unseen_networks": arguments.networks,
        "passes": arguments.passes,
        "pairs": [
            {"pair": name, "points": [asdict(one) for one in points]} for name, points in found.items()
        ],
    }
    finish(arguments, document, judge(found))


if __name__ == "__main__":
    start(main)

"""Reads the console of `benchmark_model`, of every version since 2018. Knows what the tool prints.

The tool prints its parameters, then one line of statistics for the warm-up and one for the measured runs
(`count=50 first=... curr=... min=... max=... avg=... std=...`, in microseconds), then both means again, then
memory, then tables. Between and before those lines anything may stand. A run is read only where what it says
twice agrees.
"""

from __future__ import annotations

import re
from dataclasses import replace

from devices.errors import UnreadableOutput
from devices.runners.benchmark_model.delegates import Reader
from devices.runners.benchmark_model.lines import figures, lines, number, whole
from devices.runners.benchmark_model.tables import Tables
from devices.runners.benchmark_model.values import Result, Statistics

#: how far two prints of one figure may lie apart: six digits are printed
PRINTED = 1e-4
MOST_RUNS = 1_000_000_000
_F = r"(\d\S{0,40})"
_SUMMED_UP = re.compile(
    rf"Inference timings in us: Init: {_F}, First inference: {_F}, "
    rf"Warmup \(avg\): {_F}, Inference \(avg\): {_F}"
)
_SUMMED_UP_2018 = re.compile(
    rf"Average inference timings in us: Warmup: {_F}, Init: {_F}, (?:no stats|with stats): {_F}"
)
_MEMORY = re.compile(
    r"(?:Peak memory footprint|Memory footprint delta from the start of the tool) \(MB\): "
    rf"init={_F} overall={_F}"
)
_PEAK = re.compile(
    rf"(?:Overall peak memory footprint \(MB\) via periodic monitoring: {_F}|Peak memory: +{_F} MB)"
)
_SESSION = re.compile(r"Initialized session in ([\d.]{1,30}(?:e\+\d\d)?) ?ms\.?")
_MODEL = re.compile(r"(?:Graph: \[(.{1,4096})\]|Loading model from: (.{1,4096}))")
_RESULTS = re.compile(
    r"(Model initialization|Warmup \((?:first|avg)\)|Inference \((?:avg|min|max|std)\)|Init footprint"
    rf"|Overall footprint): +{_F}(?: (?:ms|MB))?(?: \((\d{{1,12}}) runs\))?"
)
_FAILED = "Benchmarking failed"
_STARTING = "STARTING!"
#: lines that begin a run where the one before it has already told its result
_BEGINNINGS = ("Log parameter values verbosely:", "Min num runs:", "Loaded model ", "Loading model from: ")


class _Run:
    """What one run of the tool has said so far."""

    def __init__(self) -> None:
        self.statistics: list[Statistics] = []
        self.summed_up: dict[str, float] = {}
        self.results: dict[str, float] = {}
        self.tables = Tables()
        self.delegates = Reader()
        self.model: str | None = None
        self.session_ms: float | None = None
        self.memory: dict[str, float] = {}
        self.failed = False
        self.spoke = False

    @property
    def done(self) -> bool:
        """Whether the result was told."""
        return bool(self.summed_up or self.results)

    def take(self, line: str) -> None:
        """Take one line, whatever it is."""
        if line.startswith("count="):
            if (found := _statistics(line)) is not None:
                self.statistics.append(found)
        elif summed := _SUMMED_UP.fullmatch(line):
            self._sum_up(("init", "first", "warmup", "inference"), summed.groups())
        elif summed := _SUMMED_UP_2018.fullmatch(line):
            self._sum_up(("warmup", "init", "inference"), summed.groups())
        elif memory := _MEMORY.fullmatch(line):
            self._remember(init=memory[1], overall=memory[2])
        elif peak := _PEAK.fullmatch(line):
            self._remember(peak=peak[1] or peak[2])
        elif session := _SESSION.fullmatch(line):
            self.session_ms = number(session[1])
        elif model := _MODEL.fullmatch(line):
            self.model = model[1] or model[2]
        elif result := _RESULTS.fullmatch(line):
            self._result(result[1], result[2], result[3])
        elif line.startswith(_FAILED):
            self.failed = True
        else:
            self.tables.take(line)
            self.delegates.take(line)

    def result(self) -> Result:
        """The run as a value.

        Raises:
            UnreadableOutput: it did not come to a result, or contradicts itself.
        """
        if self.failed:
            raise UnreadableOutput("benchmark_model says that it failed")
        warmup, inference = self._phases()
        delegates = self.delegates.delegates()
        names = frozenset(one.delegate for one in delegates.taken) | _KINDS
        init_ms = self.summed_up.get("init", self.session_ms)
        first_ms = self.summed_up.get("first", self.results.get("Warmup (first)"))
        if warmup is not None and warmup.first_ms is not None:
            first_ms = warmup.first_ms
        return Result(
            inference=inference,
            warmup=warmup,
            model=self.model,
            init_ms=self.results.get("Model initialization") if init_ms is None else init_ms,
            first_inference_ms=first_ms,
            init_memory_bytes=_bytes(self.memory.get("init", self.results.get("Init footprint"))),
            overall_memory_bytes=_bytes(self.memory.get("overall", self.results.get("Overall footprint"))),
            peak_memory_bytes=_bytes(self.memory.get("peak")),
            operators=self.tables.operators("regular", names),
            initialisation_operators=self.tables.operators("initialisation", names),
            delegates=delegates,
        )

    def _phases(self) -> tuple[Statistics | None, Statistics]:
        """Warm-up and measured runs, from the lines of statistics and from the means told after them."""
        means = {
            "warmup": self.summed_up.get("warmup", self.results.get("Warmup (avg)")),
            "inference": self.summed_up.get("inference", self.results.get("Inference (avg)")),
        }
        exact = bool(self.summed_up)
        lines_told = self.statistics[-2:]
        if not lines_told:
            return self._told("warmup", "Warmup", means), self._measured(means)
        last = lines_told[-1]
        if len(lines_told) == 1 and not (exact and _agree(last.mean_ms, means["inference"])):
            raise UnreadableOutput(
                "benchmark_model printed no result: only one line of statistics can be read, and "
                + ("it is not that of the measured runs" if self.done else "the runs did not come to an end")
            )
        if exact and not _agree(last.mean_ms, means["inference"]):
            raise UnreadableOutput(
                f"benchmark_model contradicts itself: a mean of {last.mean_ms:g} ms and one of "
                f"{means['inference']:g} ms for the same runs"
            )
        return (lines_told[0] if len(lines_told) == 2 else self._told("warmup", "Warmup", means)), last

    def _measured(self, means: dict[str, float | None]) -> Statistics:
        told = self._told("inference", "Inference", means)
        if told is None:
            raise UnreadableOutput("benchmark_model printed no result")
        low, high = self.results.get("Inference (min)"), self.results.get("Inference (max)")
        return _checked(replace(told, min_ms=low, max_ms=high, std_ms=self.results.get("Inference (std)")))

    def _told(self, phase: str, word: str, means: dict[str, float | None]) -> Statistics | None:
        mean_ms = means[phase]
        count = self.results.get(f"{word} runs")
        return None if mean_ms is None else Statistics(mean_ms, None if count is None else int(count))

    def _sum_up(self, names: tuple[str, ...], told: tuple[str, ...]) -> None:
        found = {name: number(figure) for name, figure in zip(names, told, strict=True)}
        if None not in found.values():
            self.summed_up = {name: us / 1000 for name, us in found.items() if us is not None}

    def _remember(self, **told: str) -> None:
        for name, figure in told.items():
            if (value := number(figure)) is not None:
                self.memory[name] = value

    def _result(self, name: str, figure: str, runs: str | None) -> None:
        if (value := number(figure)) is not None:
            self.results[name] = value
            if runs:
                self.results[f"{name.partition(' ')[0]} runs"] = float(runs)


#: kinds of nodes that delegates run, where no other line names them
_KINDS = frozenset(
    {"TfLiteXNNPackDelegate", "TfLiteGpuDelegateV2", "TfLiteGpuDelegate", "TfLiteNnapiDelegate"}
)


def parse(text: str) -> Result:
    """The result of the last run of the tool on a console.

    Args:
        text: standard output and standard error as they came, or the one after the other, in this order.

    Raises:
        UnreadableOutput: there is no result, or one that contradicts itself. `failure` tells what may have
            happened instead.
    """
    return _runs(text)[-1].result()


def parse_all(text: str) -> tuple[Result, ...]:
    """The results of all runs on a console, in order.

    Raises:
        UnreadableOutput: one of them has no result.
    """
    return tuple(run.result() for run in _runs(text))


def _runs(text: str) -> list[_Run]:
    runs = [_Run()]
    for line in lines(text):
        if not line:
            continue
        current = runs[-1]
        begins = line == _STARTING or (current.done and line.startswith(_BEGINNINGS))
        if begins and current.spoke:
            current = _Run()
            runs.append(current)
        current.spoke = current.spoke or bool(current.statistics) or line == _STARTING
        current.take(line)
    return runs


def _statistics(line: str) -> Statistics | None:
    """A line of statistics; None for one that only begins like it, or over no run."""
    told = figures(line)
    count = whole(line.partition(" ")[0].removeprefix("count="))
    if told is None or count is None or not 1 <= count <= MOST_RUNS:
        return None
    told = {name: us / 1000 for name, us in told.items()}
    same = "avg" not in told and "min" not in told
    if same and "curr" not in told:
        return None
    if not same and not {"avg", "min", "max"} <= told.keys():
        return None
    current = told.get("curr")
    return _checked(
        Statistics(
            mean_ms=told["curr"] if same else told["avg"],
            count=count,
            first_ms=current if same else told.get("first"),
            min_ms=current if same else told["min"],
            max_ms=current if same else told["max"],
            std_ms=(0.0 if count > 1 else None) if same else told.get("std"),
            p5_ms=told.get("p5"),
            median_ms=told.get("median"),
            p95_ms=told.get("p95"),
        )
    )


def _checked(found: Statistics) -> Statistics:
    """Statistics that can be: in order, as far as six printed digits tell."""
    known = [found.min_ms, found.p5_ms, found.median_ms, found.p95_ms, found.max_ms]
    quantiles = [one for one in known if one is not None]
    between = [found.mean_ms, *([found.first_ms] if found.first_ms is not None else [])]
    low, high = (found.min_ms or 0.0) * (1 - PRINTED), found.max_ms
    if quantiles != sorted(quantiles) or any(
        one < low - 0.001 or (high is not None and one > high * (1 + PRINTED) + 0.001) for one in between
    ):
        raise UnreadableOutput(f"benchmark_model printed statistics that cannot be: {found}")
    return found


def _agree(one: float, other: float | None) -> bool:
    return other is not None and abs(one - other) <= PRINTED * max(one, other)


def _bytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None else round(mebibytes * (1 << 20))

"""A device with known answers, and networks of convolutions to measure on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from devices.measurement import Context, DeviceFacts, Failure, ModelFile, OperatorTime, Pass, Settings
from devices.plan import Plan
from latency_tables import tflite
from latency_tables.ops import Graph, Node, OpSpec
from latency_tables.records import Network

FACTS = DeviceFacts("desk", "x86_64", "a CPU", 2, 2**30, "an OS", "3.11", "ai_edge_litert", "2.3.0")
SHAPE = (1, 24, 24, 16)


def convolution(size: int) -> OpSpec:
    return OpSpec("conv_2d", "float32", (SHAPE,), SHAPE, (size, size), (1, 1), padding="same")


def chain(*repeats: int) -> Graph:
    """Convolutions of one image: `repeats[i]` times the one of kernel size 1 + 2 i."""
    specs = [convolution(size) for size, times in zip((1, 3, 5), repeats, strict=False) for _ in range(times)]
    nodes = tuple(Node(spec, (index - 1,)) for index, spec in enumerate(specs))
    return Graph((SHAPE,), "float32", nodes, (len(specs) - 1,))


NETWORKS = [
    Network("cover-0", chain(1, 1), "cover"),
    Network("anchor-0", chain(1, 2), "anchor"),
    Network("anchor-1", chain(2, 1), "anchor"),
]
HELD_OUT = [("a", chain(2, 2)), ("b", chain(1, 3)), ("c", chain(6, 1)), ("d", chain(3, 3))]


class Desk:
    """A device on which a 1x1 convolution takes 1 ms, others 2 ms, and a second instance 2 % more.

    Args:
        drift: everything takes so many times as long.
        ended: asked before each model; where it says yes, the user ends the job.
        governor: what its passes say of it.
        started_at: when they begin, all of them.
    """

    def __init__(
        self,
        failing: Sequence[str] = (),
        drift: float = 1.0,
        ended: Callable[[int], bool] = lambda _: False,
        *,
        governor: str | None = None,
        started_at: str = "2026-01-02T03:04:05+00:00",
    ) -> None:
        self.facts, self.settings = FACTS, Settings()
        self._governor, self._started_at = governor, started_at
        self.names: list[str] = []
        self.contents: set[bytes] = set()
        self._failing, self._drift, self._ended = failing, drift, ended

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for model in models:
            if self._ended(len(self.names)):
                raise KeyboardInterrupt
            self.names.append(model.name)
            self.contents.add(model.content)
            if model.name in self._failing:
                yield Failure(model.name, model.sha256, "DeadlineExceeded", "too slow")
                continue
            times = [_takes_ms(spec) for spec in tflite.read(model.content).specs]
            whole = sum(times) * self._drift * (1.02 if model.name.endswith("/2") else 1.0)
            labels = ["Fully Connected (NC, F32) GEMM", "Convolution (NHWC, F32) IGEMM"]
            rows = tuple(OperatorTime(i, labels[ms > 1], True, ms) for i, ms in enumerate(times))
            context = Context(
                FACTS, self.settings, self._started_at, "xnnpack", None, None, 0.0, governor=self._governor
            )
            yield Pass(model.name, model.sha256, 0, (whole,) * 5, 0, None, 1.0, 1.0, None, rows, context)

    def close(self) -> None:
        pass


def _takes_ms(spec: OpSpec) -> float:
    if spec.kind != "conv_2d":
        return 1e-6
    return 1.0 if spec.kernel == (1, 1) else 2.0

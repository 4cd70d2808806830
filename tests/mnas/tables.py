"""What tests of `mnas table` share: the small table's request and options, a device on which some fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from devices.device import Device
from devices.errors import DeviceOffline
from devices.measurement import Failure, ModelFile, Pass
from devices.plan import Plan
from mnas import spaces
from mnas.tables import TableRequest
from tests.mnas.documented import documented, fields

REQUEST = TableRequest.for_space(
    "mnasnet-small-images", resolution=28, width=0.05, classes=10, anchors=2, cover_times=1
)
OPTIONS = (
    *("--space", "mnasnet-small-images", "--resolution", "28", "--width", "0.05", "--classes", "10"),
    *("--cover-times", "1", "--anchors", "2", "--passes", "1", "--max-passes", "1"),
)


def architecture() -> str:
    """The text of a network that the small table can predict."""
    space = spaces.create("mnasnet-small-images", resolution=28, width=0.05, classes=10)
    return str(space.decode((0,) * len(space.choices)))


def agrees(document: dict[str, Any], command: str) -> bool:
    """All that is printed is documented, and all that is documented is printed, empty lists apart."""
    found, listed = fields(document), documented(f"table {command}")
    empty = {field for field in found if field.endswith("[]") and field not in listed}
    rest = {field for field in listed if not any(field.startswith(each) for each in empty)}
    return found - empty == rest


class Flaky:
    """The local device, on which some networks fail."""

    def __init__(self, inner: Device, *failing: str) -> None:
        self.facts, self.settings, self.close = inner.facts, inner.settings, inner.close
        self._inner, self._failing = inner, failing

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        for model in models:
            if model.name.startswith(self._failing):
                yield Failure(model.name, model.sha256, "WorkerCrashed", f"{model.name} ended the worker")
        yield from self._inner.stream([m for m in models if not m.name.startswith(self._failing)], plan)


class Unplugged:
    """The local device, whose cable is pulled after some passes."""

    def __init__(self, inner: Device, after: int) -> None:
        self.facts, self.settings, self.close = inner.facts, inner.settings, inner.close
        self._inner, self._after = inner, after

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        yield from islice(self._inner.stream(models, plan), self._after)
        raise DeviceOffline("local does not answer: is the cable plugged in?")

"""A device: how to reach it, what measures there and what it is. Never mentions adb or ssh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan


class Device(Protocol):
    """Something that measures model files.

    `stream` yields a `Pass` as soon as it is measured, so that nothing measured is lost when the job dies;
    a model that cannot be measured yields one `Failure` and the others go on.
    """

    @property
    def facts(self) -> DeviceFacts:
        """What the device is."""

    @property
    def settings(self) -> Settings:
        """How models are run on it."""

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        """Measure models by a plan, pass by pass, in shuffled order."""

    def close(self) -> None:
        """Let go of the device."""

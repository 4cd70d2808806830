"""How a network is trained, as a value. Imports no TensorFlow: commands check it first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from mnas.errors import BadInput

AUGMENTATIONS = ("none", "shift", "shift_flip")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How a network is trained: AdamW, a linear warm-up, then a cosine decay to zero.

    AdamW (Loshchilov and Hutter, 2019) because few steps count here: after 60 steps on `digits` it is
    several points ahead of SGD with momentum, and differs less from seed to seed.

    Attributes:
        steps: number of batches; or
        epochs: the same as passes over the images, a fraction allowed. Exactly one of the two is given.
        batch_size: images per step; all of them where there are fewer.
        learning_rate: the highest.
        weight_decay: of convolution and dense kernels, per step as a share of the learning rate.
        label_smoothing: share of the target spread evenly over the classes.
        warmup_share: share of the steps in which the learning rate rises.
        augment: `none`; `shift` by up to an eighth of the height and width, edges repeated; `shift_flip`
            also mirrors half of the images left to right.

    Raises:
        BadInput: a value outside its range; the message names the field.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 128
    learning_rate: float = 0.01
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    warmup_share: float = 0.1
    augment: str = "none"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise BadInput("a training plan needs either steps or epochs")
        rules: dict[str, tuple[str, Callable[[Any], bool]]] = {
            "steps": ("whole, 1 or more", lambda value: value >= 1),
            "epochs": ("more than 0", lambda value: 0 < value < math.inf),
            "batch_size": ("whole, 2 or more", lambda value: value >= 2),
            "learning_rate": ("more than 0", lambda value: 0 < value < math.inf),
            "weight_decay": ("0 or more", lambda value: 0 <= value < math.inf),
            "label_smoothing": ("0 to less than 1", lambda value: 0 <= value < 1),
            "warmup_share": ("0 to less than 1", lambda value: 0 <= value < 1),
            "augment": (f"one of {', '.join(AUGMENTATIONS)}", lambda value: value in AUGMENTATIONS),
        }
        for field in fields(self):
            allowed, holds = rules[field.name]
            value = getattr(self, field.name)
            kind = {"steps": int, "batch_size": int, "augment": str}.get(field.name, (int, float))
            if value is None and field.name in ("steps", "epochs"):
                continue
            if not isinstance(value, kind) or isinstance(value, bool) or not holds(value):
                raise BadInput(f"{field.name} of the training plan is {value!r}; allowed: {allowed}")

    def step_count(self, images: int) -> int:
        """Steps that this plan takes over so many training images, at least one."""
        if self.steps is not None:
            return self.steps
        return max(1, math.ceil((self.epochs or 0) * images / min(self.batch_size, images)))

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step 0..steps-1: linear warm-up, then half a cosine."""
        warmup = round(self.warmup_share * steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / (warmup + 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

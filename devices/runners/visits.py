"""What runners do alike: the order in which models are visited, and what is said of one that failed."""

from __future__ import annotations

import random

from devices.errors import DeadlineExceeded, DevicesError, ModelRejected
from devices.measurement import DeviceFacts, ModelFile
from devices.plan import Plan


def schedule(models: int, plan: Plan) -> list[list[int]]:
    """Indices of models in the order in which each pass visits them: a new random order every time."""
    generator = random.Random(plan.seed)
    return [generator.sample(range(models), models) for _ in range(plan.passes)]


def explain(model: ModelFile, error: DevicesError, facts: DeviceFacts, plan: Plan) -> str:
    """What happened to a model, in a sentence that names it."""
    if isinstance(error, ModelRejected):
        return f"{model.name} is refused by {facts.runtime} {facts.runtime_version}: {error}"
    if isinstance(error, DeadlineExceeded):
        return f"{model.name} was not measured within its deadline of {plan.deadline_s:g} s: {error}"
    return f"{model.name}: {error}"

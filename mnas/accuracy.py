"""What a search asks of accuracy: an evaluator, architecture in, share of right answers out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mnas.architecture import Architecture
from mnas.data import Images
from mnas.training_plan import TrainingPlan

#: raises TrainingFailed where there is no accuracy, BadInput where architecture and images do not fit
Evaluator = Callable[[Architecture], float]


@dataclass(frozen=True, slots=True, eq=False)
class ProxyTraining:
    """Trains a candidate briefly from scratch; its accuracy on the validation images is the answer.

    Every candidate gets the same seed, so that the same architecture gets the same accuracy (mnas.nn.training
    says how far) and differences are the architectures'. TensorFlow is imported at the first call.

    Attributes:
        train: training images, at the candidates' resolution.
        validation: cut from the training images (mnas.data.split), never from the test split.
        plan: the short training.
        seed: of every training.
        on_step: told steps done and steps in all.
    """

    train: Images
    validation: Images
    plan: TrainingPlan
    seed: int
    on_step: Callable[[int, int], None] | None = None

    def __call__(self, architecture: Architecture) -> float:
        """Accuracy 0..1 of `architecture`; raises BadInput and TrainingFailed."""
        from mnas.nn import training

        try:
            model = training.train(architecture, self.train, self.plan, self.seed, self.on_step)
            return training.accuracy(model, self.validation)
        finally:
            training.release()

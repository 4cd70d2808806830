"""Trains finalists and baselines longer, exports, measures and tests them; every step is kept. Draws nothing.

The order is fixed: first everything is trained and exported, then everything is measured in one interleaved
run while nothing here computes, and at the very end the test split is read and every file is tested. A run
that was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.device import Device
from devices.measurement import Failure, ModelFile
from devices.plan import Plan
from mnas.architecture import Architecture
from mnas.config import difference
from mnas.data import Dataset, resized
from mnas.errors import BadInput, BadRun, MnasError
from mnas.finalists.entrants import Entrant, entrants
from mnas.finalists.exported import Lesson, Predictor, predictions, table_predictions, train_and_export
from mnas.finalists.ledger import Ledger, Records, Session, Trouble, read_model
from mnas.job import search_images, training_plan
from mnas.reports.cards import write_cards
from mnas.run import RunDirectory
from mnas.training_plan import TrainingPlan

if TYPE_CHECKING:
    from mnas.config import RunConfig

#: a finalist's training is this many times as long as the search's, unless epochs are given
LONGER = 4
MEASURING = Plan(passes=10, min_runs=20, min_time_s=0.2)

#: told the step, how many of its parts are done, and how many there are
OnProgress = Callable[[str, float, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalPlan:
    """What is to be done with a run's front.

    Attributes:
        finalists: how many candidates at most.
        seeds: trainings of each network: with the run's seed and the ones after it.
        baselines: recipes to set beside them, by name.
        training: of finalists and baselines alike.
        measuring: of all exported models, interleaved.
        int8_table: latency table to predict int8 models from where the run's own is of float32.
    """

    finalists: int = 5
    seeds: int = 3
    baselines: tuple[str, ...] = ()
    training: TrainingPlan
    measuring: Plan = field(default=MEASURING)
    int8_table: Path | None = None

    def __post_init__(self) -> None:
        for name in ("finalists", "seeds"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if len(set(self.baselines)) < len(self.baselines):
            raise BadInput(f"baselines are {', '.join(self.baselines)}; name each once")


def longer(config: RunConfig, epochs: float | None = None, batch_size: int | None = None) -> TrainingPlan:
    """The search's training, made longer: `LONGER` times its steps or epochs, or the epochs given.

    Raises:
        BadInput: a figure that no training plan takes.
        BadRun: the run's own plan has a field that there is none of.
    """
    values: dict[str, Any] = dict(config.training)
    if epochs is not None:
        values.pop("steps", None)
        values["epochs"] = epochs
    else:
        values |= {name: LONGER * values[name] for name in ("steps", "epochs") if name in values}
    if batch_size is not None:
        values["batch_size"] = batch_size
    return training_plan(values)


def finalize(
    run: RunDirectory,
    plan: FinalPlan,
    dataset: Dataset,
    connect: Callable[[], Device],
    on_progress: OnProgress = lambda *_: None,
    *,
    fresh: bool = False,
) -> Records:
    """Train, export, measure and test the run's finalists and the baselines, and write their cards.

    Networks and seeds may be added to a run that is finalized already: then only those are trained, and all
    models are measured again together. How they are trained stays as it is.

    Args:
        run: open for writing, with trained candidates.
        plan: what to do.
        dataset: the one the search used; its test split is read at the end.
        connect: opens the device: once before anything is trained, to see that it is there, then to measure.
        on_progress: called often, from this thread.
        fresh: put what an earlier finalizing made aside first, once all that can be checked before is.

    Raises:
        BadInput: nothing is trained yet, an unknown baseline, or a table for int8 that does not fit.
        BadRun: the run was finalized with another training, or a model file is gone or changed.
        DevicesError: the device cannot be had.
    """
    work = _Work(run, plan, dataset, Ledger(run.finalists), on_progress)
    networks = entrants(run, plan.finalists, plan.baselines)
    with closing(connect()) as device:
        address = device.facts.address
        if plan.int8_table is not None:
            require_fitting(plan.int8_table, device)
    if fresh:
        start_again(run)
    work.settle()
    run.log(f"finalizing {len(networks)} networks, to be measured on {address}")
    run.models.mkdir(exist_ok=True)
    work.train(networks)
    work.predict()
    work.measure(connect, address)
    work.test()
    write_cards(run, dataset)
    return work.ledger.read()


def require_fitting(file: Path, device: Device) -> None:
    """Check that a table can say int8 latencies of this device.

    Raises:
        BadInput: it is of float32, incomplete, or from elsewhere; says what differs.
        BadTable: it is no latency table.
    """
    from latency_tables.store import LatencyTable
    from mnas.latency import elsewhere, require_complete
    from mnas.tables import TableRequest

    with LatencyTable.open(file) as table:
        if (dtype := TableRequest.of_table(table).dtype) != "int8":
            raise BadInput(
                f"the latency table {file} is of {dtype}; int8 is needed: mnas table build --dtype int8"
            )
        require_complete(table)
        if found := elsewhere(table.origin, device.facts, device.settings):
            raise BadInput(
                f"the latency table {file} is from elsewhere ({found}): its figures do not "
                "compare with what is measured; build one on the device that measures"
            )


def start_again(run: RunDirectory) -> None:
    """Put the records and models of an earlier finalizing aside, under the first free number."""
    if not run.finalists.exists():
        return
    number = 1
    while (run.path / f"finalists-{number}.jsonl").exists() or (run.path / f"models-{number}").exists():
        number += 1
    if run.models.exists():
        run.models.rename(run.path / f"models-{number}")
    run.finalists.rename(run.path / f"finalists-{number}.jsonl")


@dataclass(frozen=True, slots=True)
class _Work:
    """The steps of finalizing; each looks up what is done already and does the rest."""

    run: RunDirectory
    plan: FinalPlan
    dataset: Dataset
    ledger: Ledger
    report: OnProgress

    def settle(self) -> None:
        """Write down how networks are trained, or check that it is the same; check the files there are."""
        wanted = {name: value for name, value in asdict(self.plan.training).items() if value is not None}
        records = self.ledger.read()
        settings = records.settings
        if settings is None:
            self.ledger.add_settings(wanted)
        elif dict(settings) != wanted:
            names = sorted(name for name in {*settings, *wanted} if settings.get(name) != wanted.get(name))
            differences = "; ".join(difference(name, settings.get(name), wanted.get(name)) for name in names)
            raise BadRun(
                f"the finalists of {self.run.path} are trained differently ({differences}): ask for the "
                "same, or start them again with --fresh, which keeps the old results beside the new ones"
            )
        for one in records.trained:
            for model in one.models:
                read_model(self.run, model)

    def train(self, networks: Sequence[Entrant]) -> None:
        """Train and export what is not there yet; seeds are the outer loop, so all networks come early."""
        done = {(one.name, one.architecture, one.seed) for one in self.ledger.read().trained}
        jobs = [(one, self.run.config.seed + number) for number in range(self.plan.seeds) for one in networks]
        waiting = [(one, seed) for one, seed in jobs if (one.name, str(one.architecture), seed) not in done]
        self.report("training", len(jobs) - len(waiting), len(jobs))
        if not waiting:
            return
        lesson = Lesson(*search_images(self.run.config, self.dataset), self.plan.training)
        with predictions(self.run) as predict:
            for position, (one, seed) in enumerate(waiting, start=len(jobs) - len(waiting)):
                self._train_one(one, seed, lesson, predict, (position, len(jobs)))

    def _train_one(
        self, one: Entrant, seed: int, lesson: Lesson, predict: Predictor, place: tuple[int, int]
    ) -> None:
        position, jobs = place

        def on_step(number: int, steps: int) -> None:
            self.report("training", position + number / (steps + 1), jobs)

        try:
            trained = train_and_export(one, seed, self.run, lesson, predict, on_step=on_step)
        except MnasError as error:
            self._note(Trouble(f"{one.name}, seed {seed}", "training", str(error)))
        else:
            self.ledger.add_trained(trained)
        self.report("training", position + 1, jobs)

    def _note(self, trouble: Trouble) -> None:
        self.ledger.add_trouble(trouble)
        self.run.log(f"{trouble.name}: {trouble.step} failed: {trouble.message}")

    def predict(self) -> None:
        """Note what the table for int8 says of the files that the run's own source cannot tell."""
        file = self.plan.int8_table
        if file is None:
            return
        records = self.ledger.read()
        with table_predictions(file, self.run) as predict:
            for one in records.trained:
                model = one.model("int8")
                if model is None or model.predicted_ms is not None:
                    continue
                predicted = predict(Architecture.parse(one.architecture), "int8")
                if predicted is not None and records.predictions.get(model.sha256) != predicted:
                    self.ledger.add_prediction(model.sha256, predicted, str(file))

    def measure(self, connect: Callable[[], Device], address: str) -> None:
        """Measure the first seed's files of all networks in one interleaved run, unless that is done."""
        records = self.ledger.read()
        models = {final.model.sha256: final.model for final in records.finals()}
        if not models:
            return
        if (done := records.session) is not None and covers(done, set(models), address):
            self.report("measuring", 1, 1)
            return
        files = [ModelFile(model.file, read_model(self.run, model)) for model in models.values()]
        measuring = self.plan.measuring
        number = len(records.sessions) + 1
        how = {name: value for name, value in asdict(measuring).items() if name != "reference"}
        self.ledger.add_session(Session(number, address, tuple(models), how))
        total = len(files) * measuring.passes
        self.report("measuring", 0, total)
        with closing(connect()) as device:
            for count, outcome in enumerate(device.stream(files, measuring), start=1):
                if isinstance(outcome, Failure):
                    self.ledger.add_unmeasured(number, Trouble(outcome.model, "measuring", outcome.message))
                    self.run.log(f"{outcome.model} could not be measured: {outcome.message}")
                else:
                    self.ledger.add_pass(number, outcome)
                self.report("measuring", count, total)
        self.ledger.add_finished(number)
        self.report("measuring", total, total)

    def test(self) -> None:
        """Test every exported file, those of all seeds, on the test split."""
        records = self.ledger.read()
        models = {model.sha256: model for one in records.trained for model in one.models}
        waiting = [model for sha256, model in models.items() if sha256 not in records.accuracies]
        self.report("testing", len(models) - len(waiting), len(models))
        if not waiting:
            return
        from mnas.nn.export import tflite_accuracy

        images = resized(self.dataset.test(), self.run.config.resolution)
        for position, model in enumerate(waiting, start=len(models) - len(waiting) + 1):
            try:
                accuracy = tflite_accuracy(read_model(self.run, model), images)
            except MnasError as error:
                self._note(Trouble(model.file, "testing", str(error)))
            else:
                self.ledger.add_accuracy(model.sha256, accuracy, len(images))
            self.report("testing", position, len(models))


def covers(session: Session, models: set[str], address: str) -> bool:
    """Whether a run of the device measured all models, there and without trouble."""
    return session.device == address and not session.troubles and models <= set(session.models)

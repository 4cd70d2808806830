"""The search that a run's settings describe: its parts put together, and gone. Knows no command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas.config import RunConfig
from mnas.errors import BadInput, BadRun
from mnas.reward import Exponents
from mnas.run import RunDirectory
from mnas.search_costs import measurables, opened_for, space_of
from mnas.status import goals_of

if TYPE_CHECKING:
    from mnas.accuracy import Evaluator
    from mnas.data import Dataset, Images
    from mnas.evaluations import Evaluations
    from mnas.search import Status
    from mnas.training_plan import TrainingPlan
    from mnas.workers import Running


def search_run(
    run: RunDirectory,
    on_progress: Callable[[Status], None] | None = None,
    on_running: Callable[[Sequence[Running]], None] | None = None,
    *,
    jobs: int = 1,
    bench: Path | None = None,
    wait_s: float = 0.0,
    on_event: Callable[[str], None] | None = None,
) -> Status:
    """Search, or go on searching, as a run's configuration says.

    Args:
        run: open for writing.
        on_progress: called at the start and for every result.
        on_running: told how far the candidates are that are being evaluated.
        jobs: processes that evaluate; with 1, this one does. With more the order in which results come, and
            so what is proposed, does not repeat. No more are started than there are cores, and candidates to
            train; `on_event` is told.
        bench: the inventory in which devices are looked up.
        wait_s: how long to wait for a device that another job holds.
        on_event: told, in words, what a device is waited for, what is measured on one and what came of it.

    Raises:
        BadInput: something that the configuration names cannot be had any more.
        DeviceTrouble: the device cannot measure.
    """
    from mnas.correction import Correction
    from mnas.search import search

    config = run.config

    def tell(text: str) -> None:
        run.log(text)
        if on_event is not None:
            on_event(text)

    with ExitStack() as stack:
        opened = stack.enter_context(opened_for(run, bench=bench, wait_s=wait_s, on_event=on_event))
        running = _Running(on_running or (lambda _: None))
        workers = workers_of(jobs, config.trials - sum(one.counts for one in run.results()), tell)
        evaluations = stack.enter_context(_evaluations(config, workers, running))
        correction = None
        if opened.tables:
            correction = Correction(
                measurables(config, opened, bench=bench, across=config.across),
                file=run.gaps,
                measure_every=config.measure_every,
                paused=evaluations.paused,
                tell=tell,
            )
        return search(
            space_of(config),
            config.controller,
            latency=opened.latencies,
            costs=opened.others,
            goals=goals_of(config),
            reward=Exponents.of(config.reward, config.alpha, config.beta),
            settings=config.settings,
            run=run,
            evaluations=evaluations,
            correction=correction,
            on_progress=running.heeding(on_progress or (lambda _: None)),
        )


@dataclass(slots=True)
class _Running:
    """Tells what runs, in this process too, where only the trial's number comes from elsewhere."""

    tell: Callable[[Sequence[Running]], None]
    number: int = 0

    def heeding(self, report: Callable[[Status], None]) -> Callable[[Status], None]:
        """Reports a status, from which the next candidate's number follows."""

        def reported(status: Status) -> None:
            self.number = max((result.number for result in status.results), default=-1) + 1
            report(status)

        return reported

    def step(self, done: int, total: int) -> None:
        """A candidate in this process has come so far."""
        from mnas.workers import Running

        self.tell([Running(self.number, done, total)] if done < total else [])


def workers_of(jobs: int, left: int, tell: Callable[[str], None]) -> int:
    """How many processes evaluate besides this one, 0 for none: those asked for, as far as they are of use.

    Args:
        left: candidates to train.
        tell: told if there will be fewer than were asked for because of the cores.

    Raises:
        BadInput: fewer than one is asked for.
    """
    from mnas.workers import usable_cores

    if jobs < 1:
        raise BadInput(f"jobs is {jobs}; it must be 1 or more")
    if jobs == 1:
        return 0
    cores = usable_cores()
    if jobs > cores:
        usable = f"{cores} core{'' if cores == 1 else 's'}"
        tell(f"training {cores} at once, not {jobs}: this process may compute on {usable}")
    return max(1, min(jobs, cores, left))


@contextmanager
def _evaluations(config: RunConfig, workers: int, running: _Running) -> Iterator[Evaluations]:
    """Who trains candidates: this process, or workers. Ended when the context is left."""
    from mnas.evaluations import Inline

    evaluations: Evaluations
    if not workers:
        evaluations = Inline(evaluator_of(config, running.step))
    else:
        from mnas.workers import Workers

        evaluator_of(config)  # refuses what cannot be, here where the message is read
        evaluations = Workers(partial(evaluator_of, config), workers, on_running=running.tell)
    try:
        yield evaluations
    finally:
        evaluations.close()


def evaluator_of(config: RunConfig, on_step: Callable[[int, int], None] | None = None) -> Evaluator:
    """What a run's candidates are trained by, in the process that asks for it.

    Args:
        on_step: told a candidate's training steps done and in all.

    Raises:
        BadInput: the data are not what the run was begun with.
    """
    from mnas.accuracy import ProxyTraining
    from mnas.data import open_dataset

    dataset = open_dataset(config.dataset)
    if (dataset.channels, len(dataset.labels)) != (config.channels, config.classes):
        raise BadRun(
            f"{config.dataset} now has {dataset.channels} channels and {len(dataset.labels)} classes; "
            f"the run was begun with {config.channels} and {config.classes}"
        )
    plan = training_plan(config.training)
    return ProxyTraining(*search_images(config, dataset), plan, config.seed, on_step)


def search_images(config: RunConfig, dataset: Dataset) -> tuple[Images, Images]:
    """The images that the search trains and validates on, at its resolution."""
    from mnas.data import resized, split

    images = resized(dataset.train(), config.resolution)
    return split(images, seed=config.seed, validation_share=config.validation_share)


def training_plan(values: Mapping[str, Any]) -> TrainingPlan:
    """The plan of which a run's file, or a change of it, gives the fields.

    Raises:
        BadInput: a figure that no training plan takes.
        BadRun: a field that there is none of.
    """
    from mnas.training_plan import TrainingPlan

    try:
        return TrainingPlan(**values)
    except TypeError as error:
        raise BadRun(f"the run's training plan cannot be used: {error}") from error

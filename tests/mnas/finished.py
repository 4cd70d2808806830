"""Runs as a search and a finalizing leave them, by the real writers; only the figures are made up."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from devices.measurement import Context, DeviceFacts, Pass, Settings
from latency_tables.tflite import write
from mnas import spaces
from mnas.architecture import Architecture
from mnas.data import open_dataset
from mnas.finalists.entrants import Entrant, entrants
from mnas.finalists.exported import file_name, quantisation
from mnas.finalists.finalize import longer
from mnas.finalists.ledger import Ledger, Session, StoredModel, Trained
from mnas.lower import DTYPES, lower
from mnas.reports.cards import write_cards
from mnas.run import Result, RunConfig, RunDirectory, make_run

FACTS = DeviceFacts("local", "x86_64", "Test CPU", 2, 2**33, "Linux", "3.11", "ai_edge_litert", "2.3.0")
SPACE = spaces.create("mnasnet-small-images", channels=1, classes=10)
BASELINES = ("mobilenetv2-0.25", "mobilenetv2-0.5")


def config(**changes: object) -> RunConfig:
    values = {
        "space": SPACE.name,
        "resolution": SPACE.resolution,
        "dataset": "digits",
        "channels": 1,
        "classes": 10,
        "latency": "device",
        "target_ms": 1.0,
        "controller": "random",
        "trials": 8,
        "training": {"steps": 40},
    }
    return RunConfig(**(values | changes))  # type: ignore[arg-type]  # values of a test


def architecture(seed: int) -> Architecture:
    return SPACE.decode(spaces.sample(SPACE, random.Random(seed)))


def searched(
    path: Path,
    points: Sequence[tuple[float, float]],
    costs: Callable[[int], Mapping[str, float]] = lambda _: {},
    **changes: object,
) -> RunDirectory:
    """A run whose search trained one candidate per (accuracy, latency in ms), with other costs by number."""
    with make_run(path, config(**changes)) as run:
        for number, (accuracy, latency_ms) in enumerate(points):
            text, none = str(architecture(number)), (0,) * len(SPACE.choices)
            run.record(Result(number, none, text, accuracy, latency_ms, "trained", 1.0, costs=costs(number)))
    return run


#: accuracy and latency of eight candidates; trials 0, 1, 3, 5 and 6 are the front
POINTS = (
    (0.70, 0.30),
    (0.80, 0.60),
    (0.75, 0.70),
    (0.88, 0.90),
    (0.80, 1.00),
    (0.91, 1.50),
    (0.92, 2.50),
    (0.60, 2.00),
)


def finished(
    path: Path,
    *,
    finalists: int = 3,
    baselines: Sequence[str] = BASELINES,
    seeds: int = 2,
    tested: bool = True,
    measured: bool = True,
    other_load: float | None = 0.01,
    costs: Callable[[int], Mapping[str, float]] = lambda _: {},
    **changes: object,
) -> RunDirectory:
    """A finalized run on digits: real model files, made-up accuracies and latencies."""
    run = searched(path, POINTS, costs, **changes)
    ledger = Ledger(run.finalists)
    plan = asdict(longer(run.config))
    ledger.add_settings({name: value for name, value in plan.items() if value is not None})
    networks = entrants(run, finalists, baselines)
    for seed in range(seeds):
        for one in networks:
            ledger.add_trained(train(run, one, seed))
    if measured:
        measure(run, other_load=other_load)
    if tested:
        for number, one in enumerate(ledger.read().trained):
            for model in one.models:
                base = one.search_accuracy or 0.85 + 0.02 * networks.index(_named(networks, one.name))
                ledger.add_accuracy(model.sha256, base + 0.05 + 0.002 * one.seed - 0.0001 * number, 360)
        write_cards(run, open_dataset("digits"))
    return run


def train(run: RunDirectory, one: Entrant, seed: int) -> Trained:
    """A network with random weights in place of a trained one."""
    models = []
    for dtype in DTYPES:
        content = write(lower(one.architecture, dtype).graph, seed=seed)
        file = file_name(one.name, dtype, seed or None)
        (run.models / file).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        model = StoredModel(dtype, file, sha256, len(content), None, *quantisation(content))
        models.append(model.predicted(one.search_latency if dtype == "float32" else None))
    return Trained(
        one.name,
        one.role,
        str(one.architecture),
        one.trial,
        one.search_accuracy,
        seed,
        0.9,
        1.0,
        tuple(models),
        {"mnas": "0.1.0", "tensorflow": "2.21.0"},
    )


def measure(run: RunDirectory, other_load: float | None = 0.01, finish: bool = True) -> None:
    """A run of the device over the first seed's files: two passes of 20 samples each."""
    ledger = Ledger(run.finalists)
    finals = ledger.read().finals()
    number = len(ledger.read().sessions) + 1
    ledger.add_session(Session(number, "local", tuple(final.model.sha256 for final in finals), {"passes": 2}))
    for index in range(2):
        for final in finals:
            macs = lower(Architecture.parse(final.architecture)).macs
            base = macs / 4e6 * (1.0 if final.dtype == "float32" else 0.6)
            ledger.add_pass(number, one_pass(final.model.file, final.model.sha256, index, base, other_load))
    if finish:
        ledger.add_finished(number)


def one_pass(file: str, sha256: str, index: int, base_ms: float, other_load: float | None) -> Pass:
    rng = random.Random(f"{sha256}/{index}")
    context = Context(
        FACTS,
        Settings(threads=1, cpus=(1,)),
        "2026-11-25T10:00:00+00:00",
        "xnnpack",
        20,
        20,
        other_load,
        False,
    )
    samples = tuple(base_ms * (1 + 0.02 * rng.random()) for _ in range(20))
    return Pass(file, sha256, index, samples, 1, None, 2 * base_ms, 1.0, 2**20, None, context)


def _named(networks: Sequence[Entrant], name: str) -> Entrant:
    return next(one for one in networks if one.name == name)

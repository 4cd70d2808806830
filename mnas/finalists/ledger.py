"""What finalists.jsonl keeps of finalists and baselines, and how its lines join. Trains nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from devices.errors import BadSettings
from devices.measurement import Measurement, Pass
from devices.records import from_plain, to_plain
from mnas.errors import BadRun
from mnas.jsonl import append_jsonl, read_jsonl
from mnas.latency import Latency
from mnas.run import RunDirectory

Role = Literal["finalist", "baseline"]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How a tensor's integers stand for figures: `(integer - zero_point) * scale`."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class StoredModel:
    """An exported model file.

    Attributes:
        dtype: `float32` or `int8`.
        file: its name in the run's folder of models.
        predicted_ms: what the search's source of latencies says of it, a lower quartile over a burst of runs
            where `Measurement.median_ms` is a median; None where that cannot tell.
        predicted_low_ms: lower end of the 90 % interval of `predicted_ms`; None if unknown, or measured while
            searching.
        predicted_high_ms: upper end.
        source: of its input; None in float32.
        target: of its logits; None in float32.
    """

    dtype: str
    file: str
    sha256: str
    model_bytes: int
    predicted_ms: float | None
    source: Quantisation | None = None
    target: Quantisation | None = None
    predicted_low_ms: float | None = None
    predicted_high_ms: float | None = None

    def predicted(self, latency: Latency | None) -> Self:
        """The same model with this prediction; None is none."""
        if latency is None:
            return replace(self, predicted_ms=None, predicted_low_ms=None, predicted_high_ms=None)
        return replace(
            self,
            predicted_ms=latency.latency_ms,
            predicted_low_ms=latency.low_ms,
            predicted_high_ms=latency.high_ms,
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """One network, trained with one seed and exported.

    Attributes:
        trial: number of the search's result; None for a baseline.
        search_accuracy: what the search saw, share 0 to 1; None for a baseline.
        validation_accuracy: of the trained network before its export, on the search's validation images.
        versions: of the packages that trained and exported it, by name.
    """

    name: str
    role: Role
    architecture: str
    trial: int | None
    search_accuracy: float | None
    seed: int
    validation_accuracy: float
    seconds: float
    models: tuple[StoredModel, ...]
    versions: Mapping[str, str]

    def model(self, dtype: str) -> StoredModel | None:
        """The exported file of one element type."""
        return next((model for model in self.models if model.dtype == dtype), None)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A network that could not be trained, exported or measured: a value in the results."""

    name: str
    step: str
    message: str


@dataclass(frozen=True, slots=True)
class Final:
    """One network in one element type, over all of its seeds.

    Attributes:
        accuracies: of the `.tflite` on the test split, one per seed, shares from 0 to 1.
        measurement: of the first seed's file: latency depends on the architecture, not on the weights.
            None if it is not measured yet.
        model: the first seed's file.
    """

    name: str
    role: Role
    architecture: str
    trial: int | None
    search_accuracy: float | None
    dtype: str
    model: StoredModel
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    validation_accuracies: tuple[float, ...]
    measurement: Measurement | None
    versions: Mapping[str, str]

    @property
    def accuracy(self) -> float | None:
        """Mean over the seeds."""
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else None


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the device over all models, interleaved. Only finished ones count, and two never mix."""

    number: int
    device: str
    models: tuple[str, ...]
    plan: Mapping[str, Any]
    passes: tuple[Pass, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Records:
    """Everything that finalists.jsonl holds.

    Attributes:
        settings: how finalists are trained, as first asked for; None if there are none yet.
        accuracies: test accuracy by the file's SHA-256.
        predictions: latency by the file's SHA-256, from a table besides the run's own.
        test_images: how many images the test split has; None before it was read.
    """

    settings: Mapping[str, Any] | None = None
    trained: tuple[Trained, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    sessions: tuple[Session, ...] = ()
    accuracies: Mapping[str, float] = field(default_factory=dict)
    predictions: Mapping[str, Latency] = field(default_factory=dict)
    test_images: int | None = None

    @property
    def session(self) -> Session | None:
        """The last finished run of the device."""
        return next((session for session in reversed(self.sessions) if session.finished), None)

    def finals(self) -> tuple[Final, ...]:
        """One per network and element type: finalists first, then baselines, each in the order they came."""
        groups: dict[tuple[str, str], list[Trained]] = {}
        for one in sorted(self.trained, key=lambda one: one.role != "finalist"):
            for model in one.models:
                groups.setdefault((one.name, model.dtype), []).append(one)
        return tuple(self._final(dtype, ones) for (_, dtype), ones in groups.items())

    def _final(self, dtype: str, ones: Sequence[Trained]) -> Final:
        ones = sorted(ones, key=lambda one: one.seed)
        models = [model for one in ones if (model := one.model(dtype)) is not None]
        first = ones[0]
        return Final(
            first.name,
            first.role,
            first.architecture,
            first.trial,
            first.search_accuracy,
            dtype,
            self._predicted(models[0]),
            tuple(one.seed for one in ones),
            tuple(self.accuracies[model.sha256] for model in models if model.sha256 in self.accuracies),
            tuple(one.validation_accuracy for one in ones),
            self._measurement(models[0]),
            first.versions,
        )

    def _predicted(self, model: StoredModel) -> StoredModel:
        """The model with the latency that another table gives it, where the run's own source gave none."""
        if model.predicted_ms is not None:
            return model
        return model.predicted(self.predictions.get(model.sha256))

    def _measurement(self, model: StoredModel) -> Measurement | None:
        passes = [one for one in (self.session.passes if self.session else ()) if one.sha256 == model.sha256]
        if not any(one.samples_ms or one.summary for one in passes):
            return None
        return Measurement(model.file, model.sha256, model.model_bytes, tuple(passes))


class Ledger:
    """The file finalists.jsonl: every record is on the disk before the next step begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add_settings(self, settings: Mapping[str, Any]) -> None:
        """The first line: how the finalists are trained."""
        self._add("settings", {"schema": SCHEMA, **settings})

    def add_trained(self, trained: Trained) -> None:
        """A network was trained and its files written."""
        self._add("trained", asdict(trained))

    def add_trouble(self, trouble: Trouble) -> None:
        """A network could not be trained or exported."""
        self._add("trouble", asdict(trouble))

    def add_session(self, session: Session) -> None:
        """The device begins to measure."""
        begun = {name: getattr(session, name) for name in ("number", "device", "models")}
        self._add("session", begun | {"plan": dict(session.plan)})

    def add_pass(self, number: int, one: Pass) -> None:
        """One burst of session `number`."""
        self._add("pass", {"number": number, "pass": to_plain(one)})

    def add_unmeasured(self, number: int, trouble: Trouble) -> None:
        """A model that session `number` could not measure."""
        self._add("unmeasured", {"number": number, **asdict(trouble)})

    def add_finished(self, number: int) -> None:
        """Session `number` measured all of its models."""
        self._add("finished", {"number": number})

    def add_accuracy(self, sha256: str, accuracy: float, images: int) -> None:
        """A file's accuracy on the test split."""
        self._add("tested", {"sha256": sha256, "accuracy": accuracy, "images": images})

    def add_prediction(self, sha256: str, predicted: Latency, table: str) -> None:
        """A file's latency by a table besides the run's own; it replaces an earlier one."""
        interval = {"low_ms": predicted.low_ms, "high_ms": predicted.high_ms}
        record = {"sha256": sha256, "predicted_ms": predicted.latency_ms, **interval, "table": table}
        self._add("predicted", record)

    def _add(self, kind: str, record: Mapping[str, Any]) -> None:
        append_jsonl(self.path, {"record": kind, **record})

    def read(self) -> Records:
        """Everything so far; nothing if there is no file.

        Raises:
            BadRun: the file holds something else, or another version's records; the message names the line.
        """
        records = Records()
        for number, line in enumerate(read_jsonl(self.path), start=1):
            try:
                records = _join(records, line)
            except (KeyError, TypeError, ValueError, BadSettings) as error:
                raise BadRun(f"{self.path}, line {number}, is no record of finalists: {error!r}") from error
        return records


def _join(records: Records, line: Mapping[str, Any]) -> Records:
    kind, values = line["record"], {name: value for name, value in line.items() if name != "record"}
    if kind == "settings":
        if (schema := values.pop("schema")) != SCHEMA:
            raise ValueError(f"schema version is {schema!r}; this version of mnas reads {SCHEMA}")
        return replace(records, settings=values)
    if kind == "trained":
        models = tuple(_model(model) for model in values.pop("models"))
        return replace(records, trained=(*records.trained, Trained(models=models, **values)))
    if kind == "trouble":
        return replace(records, troubles=(*records.troubles, Trouble(**values)))
    if kind == "session":
        session = Session(values["number"], values["device"], tuple(values["models"]), values["plan"])
        return replace(records, sessions=(*records.sessions, session))
    if kind == "tested":
        accuracies = {**records.accuracies, values["sha256"]: float(values["accuracy"])}
        return replace(records, accuracies=accuracies, test_images=int(values["images"]))
    if kind == "predicted":
        predicted = Latency(float(values["predicted_ms"]), values.get("low_ms"), values.get("high_ms"))
        return replace(records, predictions={**records.predictions, values["sha256"]: predicted})
    *earlier, session = records.sessions
    if session.number != values.pop("number"):
        raise ValueError("it belongs to no session")
    if kind == "pass":
        session = replace(session, passes=(*session.passes, read_pass(values["pass"])))
    elif kind == "unmeasured":
        session = replace(session, troubles=(*session.troubles, Trouble(**values)))
    elif kind == "finished":
        session = replace(session, finished=True)
    else:
        raise ValueError(f"unknown record {kind!r}")
    return replace(records, sessions=(*earlier, session))


def _model(values: Mapping[str, Any]) -> StoredModel:
    tensors = {
        name: None if values[name] is None else Quantisation(**values[name]) for name in ("source", "target")
    }
    return StoredModel(**{**values, **tensors})


def read_pass(values: Mapping[str, Any]) -> Pass:
    """A pass as it was written; per-operator times are not kept here.

    Raises:
        BadSettings: it is none.
    """
    return from_plain(Pass, {**values, "operators": None})


def read_model(run: RunDirectory, model: StoredModel) -> bytes:
    """The content of an exported model.

    Raises:
        BadRun: the file is gone or changed.
    """
    path = run.models / model.file
    remedy = f"restore it, or start the finalists again with mnas finalize {run.path} --fresh"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadRun(f"cannot read the exported model {path} ({error.strerror}): {remedy}") from error
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise BadRun(
            f"the exported model {path} is not the one that was measured, its SHA-256 differs: {remedy}"
        )
    return content

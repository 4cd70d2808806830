"""What a measuring job has found so far, pass by pass, in one file that the same job goes on from.

Knows how results are kept. Does not know how they are measured or shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from devices.errors import BadSettings
from devices.lock import held
from devices.measurement import Context, Failure, Pass, Settings
from devices.plan import Plan
from devices.records import from_plain, to_plain
from mnas.errors import BadRun
from mnas.jsonl import append_jsonl, read_jsonl

SCHEMA = 1


class Journal:
    """An append-only file: a head that says what is measured how, then one line for each result.

    A pass is kept once: what is added again is refused. Failures are kept too; a later pass of the model
    outdates them.
    """

    def __init__(self, path: Path, passes: dict[tuple[str, int], Pass], failures: dict[str, Failure]) -> None:
        """Use `open`."""
        self.path = path
        self._passes = passes
        self._failures = failures

    @classmethod
    @contextmanager
    def held(cls, path: Path, device: str, settings: Settings, plan: Plan) -> Iterator[Self]:
        """The journal of a job, for this process alone while the block runs (see `open`).

        Raises:
            BadRun: another process works on it, it belongs to another job, or it cannot be read or made.
        """
        with ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(path.with_suffix(".lock"), str(os.getpid()), keep=False))
            except BlockingIOError as error:
                raise BadRun(
                    f"{path} is in use by process {error.strerror}; wait for it, or choose another folder"
                ) from None
            except OSError as error:
                raise BadRun(f"cannot write {path}: {error.strerror}") from error
            yield cls.open(path, device, settings, plan)

    @classmethod
    def open(cls, path: Path, device: str, settings: Settings, plan: Plan) -> Self:
        """The journal of a job, made if there is none.

        Raises:
            BadRun: it belongs to another job, by the name of what differs, or cannot be read.
            OSError: it cannot be written.
        """
        head = _head(device, settings, plan)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            append_jsonl(path, head)
            return cls(path, {}, {})
        records = read_jsonl(path)
        found = next(records, None)
        if found is None:  # killed while the head was written
            append_jsonl(path, head)
            return cls(path, {}, {})
        if odd := _differences(found, head):
            raise BadRun(
                f"{path} keeps another job: {'; '.join(odd)}. Measure as it was, or choose another folder"
            )
        passes: dict[tuple[str, int], Pass] = {}
        failures: dict[str, Failure] = {}
        for number, record in enumerate(records, start=2):
            try:
                if "pass" in record:
                    burst = from_plain(Pass, record["pass"])
                    passes.setdefault((burst.sha256, burst.index), burst)
                    failures.pop(burst.sha256, None)
                else:
                    failure = from_plain(Failure, record["failure"])
                    failures[failure.sha256] = failure
            except (BadSettings, KeyError, TypeError) as error:
                raise BadRun(f"{path}, line {number}, is no result of a measurement: {error}") from error
        return cls(path, passes, failures)

    def add(self, outcome: Pass | Failure) -> None:
        """Keep a result, on the disk when this returns.

        Raises:
            BadRun: this pass of this model is there already, or those there were measured under other
                circumstances: on another device or system, with another program or other libraries.
        """
        if isinstance(outcome, Failure):
            append_jsonl(self.path, {"failure": to_plain(outcome)})
            self._failures[outcome.sha256] = outcome
            return
        kept = next(iter(self._passes.values()), None)
        same = next((burst for (key, _), burst in self._passes.items() if key == outcome.sha256), outcome)
        if kept is not None and (odd := _other(kept.context, same.context, outcome.context)):
            raise BadRun(
                f"{self.path} keeps passes measured under other circumstances: {'; '.join(odd)}. "
                "Measure as it was, or choose another folder"
            )
        key = (outcome.sha256, outcome.index)
        if key in self._passes:
            raise BadRun(f"{self.path} has pass {outcome.index} of {outcome.model} already")
        append_jsonl(self.path, {"pass": to_plain(outcome)})
        self._passes[key] = outcome
        self._failures.pop(outcome.sha256, None)

    def passes(self, sha256: str) -> tuple[Pass, ...]:
        """The passes of one model, in their order."""
        return tuple(burst for (key, _), burst in sorted(self._passes.items()) if key == sha256)

    def failure(self, sha256: str) -> Failure | None:
        """Why a model could not be measured when it was last tried."""
        return self._failures.get(sha256)


class Memory(Journal):
    """A journal without a file, for a job that is not meant to be continued."""

    def __init__(self) -> None:
        super().__init__(Path(), {}, {})

    def add(self, outcome: Pass | Failure) -> None:
        """Remember a result."""
        if isinstance(outcome, Failure):
            self._failures[outcome.sha256] = outcome
        else:
            self._passes[outcome.sha256, outcome.index] = outcome


def _head(device: str, settings: Settings, plan: Plan) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(plan).items() if name != "reference"}
    reference = plan.reference.sha256 if plan.reference else None
    return {
        "schema": SCHEMA,
        "device": device,
        "settings": to_plain(settings),
        "plan": kept | {"reference": reference},
    }


def _differences(found: Mapping[str, Any], head: Mapping[str, Any]) -> list[str]:
    flat, wanted = _flat(found), _flat(head)
    return [
        f"{name} is {flat.get(name)!r} there and {wanted.get(name)!r} now"
        for name in wanted
        if flat.get(name) != wanted.get(name)
    ]


def _other(kept: Context, same: Context, now: Context) -> list[str]:
    """What differs between contexts of which one job's results cannot be made.

    Args:
        kept: of any pass.
        same: of a pass of the same model: what runs its operators need not be what runs another's.
    """
    facts, present = to_plain(kept.facts), to_plain(now.facts)
    pairs = [(name, facts[name], present[name]) for name in facts if name != "memory_bytes"]
    pairs += [(name, getattr(kept, name), getattr(now, name)) for name in ("settings", "libraries")]
    pairs.append(("delegate", same.delegate, now.delegate))
    return [f"{name} was {before} and is {after}" for name, before, after in pairs if before != after]


def _flat(head: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in head.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat

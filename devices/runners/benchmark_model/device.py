"""A device on which `benchmark_model` measures models: batch by batch in one shell on the device.

Knows plans, deadlines and failures. Does not know how the device is reached or how a console is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

from devices.errors import BadSettings, DevicesError, RuntimeMissing, TransientError
from devices.facts import MachineFacts, big_cores
from devices.measurement import DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.runners.benchmark_model.command import Offers, on_device
from devices.runners.benchmark_model.program import NAME, ask, version
from devices.runners.benchmark_model.visit import Program, Visit
from devices.runners.device_facts import device_facts
from devices.runners.program_loop import ProgramLoop
from devices.runners.visits import explain, schedule
from devices.staging import Staging
from devices.transport import Transport

#: visits that the device knows of beforehand, so that it need not wait for this host between two
AHEAD = 16


class BenchmarkModelDevice:
    """A phone or a board with `benchmark_model` (see `Device`).

    A stream sends all models together, then one shell on the device runs the program for one after another. A
    run that does not end costs its own model, and the shell is started again for the rest.
    """

    def __init__(  # noqa: PLR0917 - as with the other runner: what and where come first
        self,
        address: str,
        transport: Transport,
        settings: Settings,
        work: str,
        binary_sha256: str | None,
        machine: MachineFacts,
        libraries: Sequence[Path] = (),
    ) -> None:
        """Connects at the first use.

        Args:
            address: the device's name in facts and messages.
            transport: the way to it; closed with the device.
            settings: threads, cores and delegate; by default the cores of its fastest cluster.
            work: the work folder there.
            binary_sha256: of the program, as `mnas devices setup` put it there; None: it was not set up.
            machine: what the device is.
            libraries: files on this host that the delegate needs there.

        Raises:
            BadSettings: there are fewer cores than threads, or a library cannot be read.
        """
        self.address = address
        self._transport = transport
        self._settings = settings
        self._machine = machine
        self._staging = Staging(transport, work)
        self._sha256 = binary_sha256
        self._cpus = settings.cpus or big_cores(machine.clusters, settings.threads)
        if self._cpus is not None and len(set(self._cpus)) < settings.threads:
            raise BadSettings(
                f"{address}: {settings.threads} threads on cores {list(self._cpus)} would measure waiting, "
                "not the model; give each thread a core"
            )
        self._libraries = {path.name: _content(path) for path in libraries}
        self._provenance = tuple(
            f"{name} sha256:{sha256(content).hexdigest()}" for name, content in self._libraries.items()
        )
        self._facts: DeviceFacts | None = None
        self._offers: Offers | None = None

    @property
    def settings(self) -> Settings:
        """How models are run, as asked for; `Context.settings` of a pass names the cores taken."""
        return self._settings

    @property
    def facts(self) -> DeviceFacts:
        """What the device is.

        Raises:
            RuntimeMissing: `benchmark_model` is not there, or not the one that was put there.
            DeviceTrouble: the device cannot be reached.
        """
        if self._facts is None:
            self._facts = device_facts(
                self._machine,
                self.address,
                runtime=NAME,
                runtime_version=version(self._transport, self._binary()),
                runtime_sha256=self._sha256,
            )
        return self._facts

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        """Measure models by a plan; a model that fails is reported once and left out of later passes.

        Raises:
            ProfilerUnavailable: `plan.per_operator`, but the program there has no profiler.
            BadSettings: it cannot run the delegate, or the cores cannot be used.
            RuntimeMissing: it is not there, or not the one that was put there.
            DevicesError: the reference model cannot be measured.
            DeviceTrouble: the device cannot be reached, or has no room for the models.
        """
        binary = self._binary()
        facts = self.facts
        program = self._program(binary)
        provenance = (*self._provenance, *self._already_there())
        program.command("", plan)  # trouble with what is asked for is not the first model's
        self._staging.put([*models, *([plan.reference] if plan.reference else [])])
        failed: set[int] = set()
        to_come = self._visits(program, models, plan, failed)
        ahead: deque[Visit] = deque()
        loop: ProgramLoop | None = None
        try:
            while True:
                if len(ahead) <= AHEAD // 2:  # several commands go there together
                    ahead.extend(islice(to_come, AHEAD - len(ahead)))
                if not ahead:
                    return
                loop = loop or ProgramLoop(self._transport, self._staging.work, self._cpus)
                for visit in ahead:
                    visit.send(loop)
                visit = ahead.popleft()
                try:
                    outcome: Pass | Failure = visit.outcome(visit.wait(loop), facts, provenance)
                except TransientError:
                    raise
                except DevicesError as error:
                    message = explain(visit.model, error, facts, plan)
                    outcome = Failure.of(visit.model, error, message)
                if visit.number not in failed:
                    yield outcome
                if isinstance(outcome, Failure):
                    failed.add(visit.number)
                    if not loop.alive:
                        loop = None
                        ahead = deque(
                            replace(other, sent=False) for other in ahead if other.number not in failed
                        )
        finally:
            if loop is not None:
                loop.kill()

    def close(self) -> None:
        """Let go of the transport; what was put on the device stays there. May be called twice."""
        self._transport.close()

    def _binary(self) -> str:
        """Where the program lies, after a look at whether it is the one that was put there."""
        if self._sha256 is None or not self._staging.holds("bin", NAME, self._sha256):
            state = (
                "has no benchmark_model"
                if self._sha256 is None
                else "has no longer the benchmark_model it had"
            )
            raise RuntimeMissing(f"{self.address} {state}: run `mnas devices setup {self.address}`")
        return f"{self._staging.work}/bin/{self._sha256}/{NAME}"

    def _program(self, path: str) -> Program:
        """The program, asked once what it offers, with the libraries that its delegate needs beside it."""
        if self._offers is None:
            self._offers = ask(self._transport, path)
        folder = self._staging.keep_together("lib", self._libraries) if self._libraries else ""
        libraries = tuple(f"{folder}/{name}" for name in self._libraries)
        return Program(path, self._settings, self._offers, libraries, self._cpus)

    def _already_there(self) -> tuple[str, ...]:
        """An external delegate that somebody else put on the device, with what it contains now."""
        path = on_device(self._settings, self._libraries)
        return (f"{path} {self._staging.digest(path)}",) if path else ()

    def _visits(
        self, program: Program, models: Sequence[ModelFile], plan: Plan, failed: AbstractSet[int]
    ) -> Iterator[Visit]:
        """Every model in every pass, but those that failed by the time that it is their turn."""
        paths = [self._staging.path(model.sha256) for model in models]
        reference = self._staging.path(plan.reference.sha256) if plan.reference else None
        for index, order in enumerate(schedule(len(models), plan)):
            for number in order:
                if number not in failed:
                    yield Visit(program, models[number], paths[number], reference, number, index, plan)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(f"cannot read the delegate's library {path}: {error.strerror}") from error

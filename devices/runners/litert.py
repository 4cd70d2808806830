"""Host side of the TFLite worker: measures models on a device, whatever happens to the worker.

Knows plans, deadlines and crashes. Does not know how the device is reached or how a run is timed.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devices.errors import (
    BadSettings,
    DevicesError,
    DeviceTrouble,
    ProfilerUnavailable,
    RuntimeMissing,
    TransientError,
    UnreadableOutput,
    WorkerCrashed,
)
from devices.facts import MachineFacts, board_mw
from devices.facts.processor import governor
from devices.governor import joined
from devices.measurement import Context, DeviceFacts, Failure, ModelFile, Pass, Settings
from devices.plan import Plan
from devices.runners.device_facts import device_facts, unsurveyed
from devices.runners.replies import Greeting, Power, burst, greeting
from devices.runners.visits import explain, schedule
from devices.runners.worker_process import START_S, WorkerProcess
from devices.staging import Staging
from devices.text import one_line
from devices.transport import Transport

WORKER_FILE = Path(__file__).with_name("litert_worker.py")
FILES_A_COMMAND = 500
CORE_GOVERNOR = "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor"


class LitertDevice:
    """A device on which a TFLite runtime for Python measures models (see `Device`).

    The worker is started at the first use and again after a crash. A stream sends every model once, by way of
    a staging all together; models stay loaded from pass to pass while the device's memory lasts. At its end
    they leave the memory, and their files the device unless they are staged. One burst is asked for at once,
    so that nothing that the caller does between two results disturbs it.
    """

    def __init__(
        self,
        address: str,
        transport: Transport,
        settings: Settings | None = None,
        python: str = sys.executable,
        *,
        staging: Staging | None = None,
        machine: MachineFacts | None = None,
    ) -> None:
        """Connects at the first use.

        Args:
            address: the device's name in facts and messages.
            transport: the way to it; closed with the device.
            settings: threads and cores.
            python: the Python on the device that has NumPy and a TFLite runtime.
            staging: where models are kept on a device at the other end of a link; None: sent to a temporary
                folder each time.
            machine: what the device is, where somebody has looked already.

        Raises:
            BadSettings: a delegate that this runner does not have.
        """
        self.address = address
        self._transport = transport
        self._settings = settings or Settings()
        if self._settings.delegate != "xnnpack":
            raise BadSettings(
                f"{address}: the runner litert has the delegate xnnpack, not {self._settings.delegate}; "
                "others need a phone or a board with the runner benchmark_model"
            )
        self._python = python
        self._staging = staging
        self._machine = machine
        self._directory: str | None = None
        self._worker: WorkerProcess | None = None
        self._hello: Greeting | None = None
        self._facts: DeviceFacts | None = None
        self._sent: dict[str, str] = {}

    @property
    def settings(self) -> Settings:
        """How models are run, as asked for; `Context.settings` of a pass names the cores taken."""
        return self._settings

    @property
    def facts(self) -> DeviceFacts:
        """What the device is.

        Raises:
            DeviceTrouble: it cannot be reached, or has no runtime.
            BadSettings: the settings do not fit it.
        """
        if self._facts is None:
            hello = self._greeted()
            self._facts = device_facts(
                self._machine or unsurveyed(hello.machine, self._read),
                self.address,
                runtime=hello.runtime,
                runtime_version=hello.runtime_version,
                python_version=hello.python_version,
                told_cores=hello.cores,
            )
        return self._facts

    def governor_now(self) -> str | None:
        """Who chooses the frequency of the worker's cores; None where the kernel does not tell.

        Raises:
            DeviceTrouble, BadSettings: as `facts`.
        """
        files = (CORE_GOVERNOR % cpu for cpu in self._greeted().cpus or ())
        return joined(governor(self._read(file).strip()) for file in files)

    def stream(self, models: Sequence[ModelFile], plan: Plan) -> Iterator[Pass | Failure]:
        """Measure models by a plan; a model that fails is reported once and left out of later passes.

        Raises:
            ProfilerUnavailable: `plan.per_operator`, but this device has no profiler for it.
            DevicesError: the reference model cannot be measured.
            DeviceTrouble: the device cannot be reached, has no runtime, or no room for the models.
            BadSettings: the settings do not fit the device.
        """
        keys = [model.sha256 for model in models]
        reference = plan.reference.sha256 if plan.reference else None
        failed: set[int] = set()
        try:
            if self._staging is not None:
                self._sent |= self._staging.put([*models, *([plan.reference] if plan.reference else [])])
            self._check(plan, reference)
            for index, order in enumerate(schedule(len(models), plan)):
                for i in order:
                    if i not in failed:
                        outcome = self._visit(models[i], keys[i], index, plan, reference)
                        if isinstance(outcome, Failure):
                            failed.add(i)
                        yield outcome
        except TransientError:
            self._lost()
            raise
        finally:
            self._forget([*keys, reference] if reference else keys)

    def close(self) -> None:
        """End the worker, remove what was sent, let go of the transport. May be called twice."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None
        try:
            if self._directory is not None:
                with contextlib.suppress(TransientError):  # a later worker removes it
                    self._transport.run(["rm", "-rf", "--", self._directory], timeout_s=20.0)
        finally:
            self._directory = None
            self._sent.clear()
            self._transport.close()

    def _greeted(self) -> Greeting:
        """What the running worker said of itself."""
        self._running()
        assert self._hello is not None
        return self._hello

    def _running(self) -> WorkerProcess:
        """A worker that has been greeted, started if there is none."""
        if self._worker is None or not self._worker.alive:
            try:
                self._worker = self._start()
            except TransientError:
                self._lost()
                raise
            except DeviceTrouble as error:
                unfit = isinstance(error, RuntimeMissing | WorkerCrashed)
                if self._staging is not None and (unfit or not self._has_python()):
                    raise RuntimeMissing(
                        f"{self.address} has no TFLite runtime that works with {self._python}: run "
                        f"`mnas devices setup {self.address}` ({error})"
                    ) from error
                if isinstance(error, WorkerCrashed):
                    raise DeviceTrouble(
                        f"{self.address}: the worker did not start with {self._python}: {error}"
                    ) from error
                raise
        return self._worker

    def _start(self) -> WorkerProcess:
        if self._directory is None:
            self._directory = self._make_directory()
            self._transport.push(WORKER_FILE.read_bytes(), f"{self._directory}/{WORKER_FILE.name}")
        script = f"{self._directory}/{WORKER_FILE.name}"
        worker = WorkerProcess(self._transport, self._python, script, self._directory)
        try:
            asked = {"threads": self._settings.threads, "cpus": self._settings.cpus}
            self._hello = greeting(worker.ask("hello", START_S, **asked))
        except BaseException:
            worker.kill()
            raise
        return worker

    def _has_python(self) -> bool:
        script = 'command -v "$1" >/dev/null'
        return self._transport.run(["sh", "-c", script, "sh", self._python], timeout_s=20.0).ok

    def _lost(self) -> None:
        """The link broke: the worker there ends by itself, and its folder may go with it."""
        if self._worker is not None:
            self._worker.kill()
        self._worker = None
        self._directory = None
        self._sent.clear()

    def _check(self, plan: Plan, reference: str | None) -> None:
        """Whether the plan can be followed at all."""
        hello = self._greeted()
        if plan.per_operator and hello.profiler:
            raise ProfilerUnavailable(f"{self.address}: {hello.profiler}")
        if plan.reference is None or reference is None:
            return
        once = replace(plan, warmup_runs=0, min_runs=1, min_time_s=0.0, per_operator=False, reference=None)
        try:
            self._ask(plan.reference, reference, once, None)
        except DevicesError as error:
            raise type(error)(f"the reference model {plan.reference.name}: {error}") from error

    def _make_directory(self) -> str:
        """A new temporary folder on the device, in the work folder where there is one."""
        if self._staging is None:
            command = ["mktemp", "-d", "-t", "mnas.XXXXXXXX"]
        else:
            script = 'umask 077; mkdir -p -- "$1" && exec mktemp -d "$1/mnas.XXXXXXXX"'
            command = ["sh", "-c", script, "sh", f"{self._staging.work}/worker"]
        made = self._transport.run(command, timeout_s=20.0)
        if not made.ok:
            reason = one_line(made.stderr.decode(errors="replace"))
            raise DeviceTrouble(f"{self.address}: cannot make a temporary directory: {reason}")
        directory = made.stdout[:4096].decode(errors="replace").removesuffix("\n")
        inside = "(?:.*/)?" if self._staging is None else re.escape(f"{self._staging.work}/worker/")
        if not re.fullmatch(rf"{inside}mnas\.\w{{8}}", directory):
            raise UnreadableOutput(f"{self.address}: this is no temporary directory: {one_line(directory)!r}")
        return directory

    def _send(self, model: ModelFile, key: str) -> dict[str, str]:
        if key not in self._sent:
            path = f"{self._directory}/{key}.tflite"
            self._transport.push(model.content, path)
            self._sent[key] = path
        return {"key": key, "path": self._sent[key]}

    def _ask(self, model: ModelFile, key: str, plan: Plan, reference: str | None) -> dict[str, Any]:
        worker = self._running()
        return worker.ask(
            "measure",
            plan.deadline_s,
            model=self._send(model, key),
            reference=self._send(plan.reference, reference) if plan.reference and reference else None,
            warmup_runs=plan.warmup_runs,
            min_runs=plan.min_runs,
            min_time_s=plan.min_time_s,
            per_operator=plan.per_operator,
            seed=plan.seed,
        )

    def _visit(
        self, model: ModelFile, key: str, index: int, plan: Plan, reference: str | None
    ) -> Pass | Failure:
        """One burst of one model, or why there is none."""
        hello = self._greeted()  # trouble with starting a worker is the device's, not this model's
        facts = self.facts
        self._send(model, key)
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            found = burst(self._ask(model, key, plan, reference))
        except TransientError:
            raise
        except DevicesError as error:
            return Failure(model.name, key, type(error).__name__, explain(model, error, facts, plan))
        return Pass(
            model=model.name,
            sha256=key,
            index=index,
            samples_ms=found.samples_ms,
            dropped=found.dropped,
            reference_ms=found.reference_ms,
            first_inference_ms=found.first_inference_ms,
            initialisation_ms=found.initialisation_ms,
            peak_memory_bytes=found.peak_memory_bytes,
            operators=found.operators,
            context=Context(
                facts=facts,
                settings=replace(self._settings, cpus=hello.cpus or None),
                started_at=started_at,
                delegate=found.delegate,
                delegated_operators=found.delegated_operators,
                total_operators=found.total_operators,
                other_load=found.other_load,
                throttled=found.throttled,
                governor=found.governor,
                frequency_khz=found.frequency_khz,
            ),
            all_preempted=found.all_preempted,
            energy_mj=_energy_mj(found.power),
        )

    def _forget(self, keys: Sequence[str]) -> None:
        """Give the models' memory and files back; a worker that cannot is replaced at the next use."""
        if self._worker is not None and self._worker.alive:
            try:
                self._worker.ask("unload", START_S, keys=list(keys))
            except DeviceTrouble:
                self._worker.kill()
        paths = [self._sent.pop(key) for key in sorted(self._sent.keys() & set(keys))]
        if self._staging is not None:
            return
        for first in range(0, len(paths), FILES_A_COMMAND):
            self._transport.run(["rm", "-f", "--", *paths[first : first + FILES_A_COMMAND]], timeout_s=20.0)

    def _read(self, path: str) -> str:
        return self._transport.run(["cat", path], timeout_s=20.0).stdout.decode(errors="replace")


def _energy_mj(power: Power | None) -> float | None:
    """Millijoules of one inference; None where the board does not tell."""
    whole_mw = board_mw(power.rails_mw) if power else None
    return None if power is None or whole_mw is None else whole_mw * power.run_ms / 1000

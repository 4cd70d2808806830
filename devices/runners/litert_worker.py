"""The one file that runs on a device: loads TFLite models, times them, and answers in JSON lines.

Knows nothing of how it was reached or of what the models are. It needs only the standard library, NumPy and a
TFLite runtime (`ai_edge_litert`, else `tflite_runtime`, else `tensorflow.lite`), and keeps to the syntax of
Python 3.8 and to NumPy 1.19, as old boards have them.

One request a line on standard input, one reply a line on standard output:

    {"id": 1, "command": "hello", "threads": 1, "cpus": null}
    {"id": 2, "command": "measure", "model": {"key": ..., "path" or "base64": ...}, "reference": null, ...}
    {"id": 3, "command": "unload", "keys": [...]}

A reply carries the request's id and either its fields or `error` (the name of an error) and `message`. The
end of standard input ends the worker, in the middle of a run too, and removes the directory named on the
command line. What the runtime prints goes to standard error.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import fcntl
import gc
import glob
import json
import math
import os
import platform
import queue
import resource
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
from typing import Any, Callable, List, NoReturn, Optional, Tuple

import numpy as np

#: versions of ai-edge-litert whose private profiler interface was tried
PROFILER_VERSIONS = ("2.2.0", "2.3.0")
REFERENCE_WARMUP_RUNS = 2
REFERENCE_RUNS = 8
#: shortest time over which the ticks of /proc/stat (10 ms) tell a load
LOAD_WINDOW_NS = 500_000_000
#: the profiler's events must explain this much of runs of at least that length (it counts whole microseconds)
LEAST_EXPLAINED, SHORTEST_CHECKED_US = 0.5, 200
#: seconds after a request's deadline at which the kernel ends a worker whose host is gone
ALARM_GRACE_S = 10
#: longest wait for another worker that measures on the same core
LOCK_WAIT_S = 5.0
#: age at which a directory that no process names is one that a killed host left
STALE_S = 24 * 3600
#: how the name of such a directory begins
DIRECTORY = "mnas."
#: share of the available memory that a model's inputs may take, and that all of it may take
INPUT_SHARE, MODEL_SHARE = 0.5, 0.9
#: what a random number takes before it has its type, and a string in all
DRAWN_BYTES, STRING_BYTES = 8, 64
DELEGATE_NODES = ("DELEGATE", "TfLiteXNNPackDelegate")
#: where the kernel shows a board's power monitors
POWER_MONITORS = "/sys/bus/i2c/drivers/ina3221*"
#: seconds for which a model runs while power is read, seconds before that for the monitors' averages to
#: follow, seconds between two readings, and the fewest that make a mean
POWER_S, POWER_LEAD_S, POWER_EVERY_S, LEAST_READINGS = 0.3, 0.05, 0.01, 5


class Refusal(Exception):
    """An answer that is an error: its kind is the name of the host's error class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# --- the machine


def read_text(path: str) -> str | None:
    """A file's text, or None where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def choose_cpus(threads: int, cpus: list[int] | None) -> list[int] | None:
    """Pin this process before the runtime starts threads; returns the cores, or None where one cannot pin.

    By default the `threads` fastest of the cores it may use, of equally fast ones the last: interrupts prefer
    the first ones.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    fastest = sorted(allowed, key=lambda cpu: (frequency_khz([cpu], "cpuinfo_max_freq") or 0, cpu))[-threads:]
    wanted = sorted(fastest if cpus is None else set(cpus))
    existing = os.cpu_count() or len(allowed)
    given = "%d threads" % threads if cpus is None else "%d threads on cores %s" % (threads, wanted)
    if cpus is not None and wanted[-1] >= existing:
        raise Refusal(
            "BadSettings",
            "core %d does not exist: this device has cores 0 to %d" % (wanted[-1], existing - 1),
        )
    if len(wanted) < threads:
        raise Refusal(
            "BadSettings",
            "%s: that would measure waiting, not the model; give each thread a core (usable here: %s)"
            % (given, allowed),
        )
    try:
        os.sched_setaffinity(0, wanted)
    except OSError as error:
        raise Refusal(
            "BadSettings", "cores %s cannot be used: %s (usable here: %s)" % (wanted, error, allowed)
        ) from error
    taken = sorted(os.sched_getaffinity(0))
    if taken != wanted:
        raise Refusal("BadSettings", "of cores %s only %s can be used here" % (wanted, taken))
    return wanted


def raise_priority() -> None:
    """Ask for the highest priority, so that other processes preempt less; without the right to it, go on.

    Where the kernel groups processes by session, a process' own priority counts only inside its group.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as file:
        file.write("-20")


def offer_to_be_ended() -> None:
    """When memory runs out, the kernel shall end this process and no other."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


class CoreLock:
    """One measurement at a time on a core: other workers' bursts are waited for, but not forever.

    After a while a burst begins all the same; the disturbance then shows in its load. The kernel frees the
    lock when its holder ends.
    """

    def __init__(self, cpus: list[int] | None) -> None:
        self.files: list[int] = []
        for cpu in cpus or []:
            path = os.path.join(tempfile.gettempdir(), "mnas-core-%d.lock" % cpu)
            # another user's file may be opened but, where directories are sticky, not created
            for flags in (os.O_RDONLY | os.O_CREAT, os.O_RDONLY):
                with contextlib.suppress(OSError):
                    self.files.append(os.open(path, flags, 0o666))
                    break

    def take(self, wait_s: float) -> None:
        """Take the lock, waiting at most so long."""
        limit = time.monotonic() + wait_s
        for file in self.files:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > limit:
                        break
                    time.sleep(0.002)

    def free(self) -> None:
        """Give it back."""
        for file in self.files:
            fcntl.flock(file, fcntl.LOCK_UN)


def memory_bytes(field: str, path: str = "/proc/self/status") -> int | None:
    """A field such as VmRSS of a /proc file in bytes, or None."""
    for line in (read_text(path) or "").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


class PeakMemory:
    """What a model adds to this process: its highest resident size since `__init__` less the size then.

    The kernel's mark (VmHWM) is reset first; where it cannot be, a peak below an earlier one is unknown.
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        self.before = memory_bytes("VmRSS")
        self.mark = memory_bytes("VmHWM")

    def added(self) -> int | None:
        """Bytes, or None where the kernel does not tell."""
        peak = memory_bytes("VmHWM")
        if peak is None or self.before is None or self.mark is None:
            return None
        if peak == self.mark and self.mark > self.before * 1.02 + 1e6:
            return None  # an older, higher peak hides this one
        return max(0, peak - self.before)


class LoadMeter:
    """Share of some cores' time that went to others: busy ticks of /proc/stat less this process' own time."""

    def __init__(self, cpus: list[int] | None) -> None:
        self.names = ["cpu%d" % cpu for cpu in cpus] if cpus else ["cpu"]
        self.cores = len(self.names) if cpus else (os.cpu_count() or 1)
        self.tick_ns = 1e9 / os.sysconf("SC_CLK_TCK")
        self.history: list[tuple[int, float, int]] = []
        self.mark()

    def snapshot(self) -> tuple[int, float, int] | None:
        """(time, busy time of the cores, own time), all in ns, or None."""
        busy = 0.0
        seen = 0
        for line in (read_text("/proc/stat") or "").splitlines():
            fields = line.split()
            if fields and fields[0] in self.names:
                ticks = [int(value) for value in fields[1:9]]
                busy += (sum(ticks) - ticks[3] - ticks[4]) * self.tick_ns  # less idle and waiting for a disk
                seen += 1
        if seen < len(self.names):
            return None
        return time.perf_counter_ns(), busy, time.process_time_ns()

    def mark(self) -> None:
        """Note where a burst begins."""
        now = self.snapshot()
        if now is not None:
            recent = [old for old in self.history if now[0] - old[0] < 6 * LOAD_WINDOW_NS]
            self.history = [*recent, now]

    def other_load(self) -> float | None:
        """Share 0..1 since the last mark, or over the last half second if that is longer; None if unknown."""
        now = self.snapshot()
        if now is None or not self.history:
            return None
        since = self.history[0]
        for old in self.history:
            if now[0] - old[0] >= LOAD_WINDOW_NS:
                since = old
        elapsed = now[0] - since[0]
        if elapsed < LOAD_WINDOW_NS / 2:
            return None
        other = (now[1] - since[1]) - (now[2] - since[2])
        return min(1.0, max(0.0, other / (elapsed * self.cores)))


def throttle_count(cpus: list[int] | None) -> int | None:
    """Times these cores were slowed down for heat, or None where the kernel does not count."""
    total, known = 0, False
    for cpu in cpus or []:
        for name in ("core", "package"):
            text = read_text("/sys/devices/system/cpu/cpu%d/thermal_throttle/%s_throttle_count" % (cpu, name))
            if text and text.strip().isdigit():
                total, known = total + int(text), True
    return total if known else None


def frequency_limited(cpus: list[int] | None) -> bool | None:
    """Whether heat or policy holds a core below its highest frequency; None if unknown."""
    answers = []
    for cpu in cpus or []:
        folder = "/sys/devices/system/cpu/cpu%d/cpufreq/" % cpu
        limit, highest = read_text(folder + "scaling_max_freq"), read_text(folder + "cpuinfo_max_freq")
        if limit and highest and limit.strip().isdigit() and highest.strip().isdigit():
            answers.append(int(limit) < int(highest))
    return any(answers) if answers else None


def frequency_khz(cpus: list[int] | None, which: str = "scaling_cur_freq") -> int | None:
    """The highest of these cores' frequencies of a kind, by default the current ones; None if unknown."""
    texts = [read_text("/sys/devices/system/cpu/cpu%d/cpufreq/%s" % (cpu, which)) for cpu in cpus or []]
    return max((int(text) for text in texts if text and text.strip().isdigit()), default=0) or None


def governor(cpus: list[int] | None) -> str | None:
    """How the kernel chooses these cores' frequency, such as `performance`; None where it does not tell."""
    path = "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor"
    names = {(read_text(path % cpu) or "").strip() for cpu in cpus or []} - {""}
    return ", ".join(sorted(names)) or None


def throttled_since(count: int | None, cpus: list[int] | None) -> bool | None:
    """Whether the cores were slowed down since `count` was read; None if unknown."""
    now, limited = throttle_count(cpus), frequency_limited(cpus)
    if count is not None and now is not None and now > count:
        return True
    return limited if count is None or now is None else bool(limited)


class PowerRails:
    """What the rails of a board's power monitors draw: INA3221, as Jetsons have them.

    The kernel's own driver shows millivolts and milliamperes of each rail below `hwmon`, NVIDIA's older one
    milliwatts below `iio:device`. Reading takes milliseconds, for the monitors are behind a slow bus.
    """

    def __init__(self, monitors: str = POWER_MONITORS) -> None:
        self.rails: dict[str, tuple[str, ...]] = {}
        for label in sorted(glob.glob(monitors + "/*-*/hwmon/hwmon*/in[123]_label")):
            folder, number = os.path.dirname(label), os.path.basename(label)[2]
            files = ("%s/in%s_input" % (folder, number), "%s/curr%s_input" % (folder, number))
            self.add(label, files)
        for label in sorted(glob.glob(monitors + "/*-*/iio*device*/rail_name_[012]")):
            self.add(label, ("%s/in_power%s_input" % (os.path.dirname(label), label[-1]),))
        if self.read() is None:  # without one of them the others do not tell the whole
            self.rails = {}

    def add(self, label: str, files: tuple[str, ...]) -> None:
        """Take a rail that has a name and is connected (NC is what is not)."""
        name = (read_text(label) or "").strip()
        if name and name != "NC" and name not in self.rails:
            self.rails[name] = files

    @staticmethod
    def power_mw(files: tuple[str, ...]) -> float | None:
        """Milliwatts, or None where it cannot be read now."""
        figures = [(read_text(path) or "").strip() for path in files]
        if not all(text.lstrip("-").isdigit() for text in figures):
            return None
        first, *rest = map(float, figures)
        return max(0.0, first * rest[0] / 1000 if rest else first)

    def read(self) -> dict[str, float] | None:
        """Milliwatts of every rail, or None where one cannot be read now."""
        found = {}
        for name, files in self.rails.items():
            power = self.power_mw(files)
            if power is None:
                return None
            found[name] = power
        return found


class PowerMeter:
    """Reads rails in a thread of its own, on other cores than the measuring ones where there are some."""

    def __init__(self, rails: PowerRails, elsewhere: set[int] | None) -> None:
        self.rails, self.elsewhere = rails, elsewhere
        self.readings: list[dict[str, float]] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def sample(self) -> None:
        """Read until told to end."""
        if self.elsewhere and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, self.elsewhere)  # this thread's, not the process'
        while not self.ended.wait(POWER_EVERY_S):
            reading = self.rails.read()
            if reading is not None:
                self.readings.append(reading)

    def __enter__(self) -> PowerMeter:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.ended.set()
        self.thread.join()

    def mean_mw(self) -> dict[str, float] | None:
        """Mean milliwatts of every rail; None after too few readings."""
        if len(self.readings) < LEAST_READINGS:
            return None
        return {
            name: sum(reading[name] for reading in self.readings) / len(self.readings)
            for name in self.rails.rails
        }


# --- the runtime


def distribution_version(names: tuple[str, ...], module: Any) -> str:
    """Version of an installed distribution, else the module's own, else `unknown`."""
    try:
        from importlib import metadata

        for name in names:
            with contextlib.suppress(metadata.PackageNotFoundError):
                return metadata.version(name)
    except ImportError:
        pass
    return str(getattr(module, "__version__", "unknown"))


def litert_runtime() -> tuple[str, str, Any]:
    """Google's current runtime."""
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    version = distribution_version(("ai-edge-litert", "ai-edge-litert-nightly"), ai_edge_litert)
    return "ai_edge_litert", version, Interpreter


def tflite_runtime() -> tuple[str, str, Any]:
    """Its predecessor, which old boards have."""
    import tflite_runtime
    from tflite_runtime.interpreter import Interpreter

    return "tflite_runtime", distribution_version(("tflite-runtime",), tflite_runtime), Interpreter


def tensorflow_runtime() -> tuple[str, str, Any]:
    """TensorFlow's own, announced for deletion."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow

    return "tensorflow.lite", tensorflow.__version__, tensorflow.lite.Interpreter


def import_runtime() -> tuple[str, str, Any]:
    """(name, version, Interpreter class) of the first runtime that can be imported."""
    reasons = []
    for find in (litert_runtime, tflite_runtime, tensorflow_runtime):
        try:
            return find()
        except Exception as error:  # a broken installation fails in many ways
            reasons.append("%s: %s" % (type(error).__name__, error))
    raise Refusal(
        "RuntimeMissing",
        "no TFLite runtime for %s; install one with `pip install ai-edge-litert` (tried: %s)"
        % (sys.executable, "; ".join(reasons)),
    )


def random_values(dtype: Any, count: int, generator: np.random.RandomState) -> Any:
    """`count` values for any operator: floats in -1..1, all of 8 and 16 bits, wider integers 0 or 1.

    Wider integers are mostly indices, and 0 and 1 lie within most tables.
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "fc":
        return generator.uniform(-1.0, 1.0, count).astype(dtype)
    if dtype.kind == "b":
        return generator.randint(0, 2, count).astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        limits = np.iinfo(dtype)
        return generator.randint(limits.min, limits.max + 1, count).astype(dtype)
    if dtype.kind in "iu":
        return generator.randint(0, 2, count).astype(dtype)
    if dtype.kind in "OSU":
        return np.array([b"a"] * count, dtype=object if dtype.kind == "O" else "S1")
    raise Refusal("ModelRejected", "an input has type %s, for which no random input can be made" % dtype)


def elements(shape: list[int]) -> int:
    """How many values a tensor of this shape has; a size that is not fixed (-1) counts as 1."""
    return math.prod(1 if size == -1 else size for size in shape)


def check_inputs(details: list[dict[str, Any]], available: int | None) -> None:
    """Refuse inputs that take too much of the available memory (in bytes), before anything is made of them.

    A value takes its size in the runtime, its size here, and what it takes while it is drawn.
    """
    needed, largest = 0, (0, "")
    for detail in details:
        shape, dtype = [int(size) for size in detail["shape"]], np.dtype(detail["dtype"])
        each = STRING_BYTES if dtype.kind in "OSU" else 2 * dtype.itemsize + DRAWN_BYTES
        needed += elements(shape) * each
        largest = max(largest, (elements(shape) * each, "%s of shape %s" % (dtype.name, tuple(shape))))
    if available is not None and needed > INPUT_SHARE * available:
        raise Refusal(
            "ModelRejected",
            "its inputs (the largest is %s) would take %.1f GB, more than half of the %.1f GB of memory that "
            "the device has left" % (largest[1], needed / 1e9, available / 1e9),
        )


def limit_memory(available: int | None) -> None:
    """Beyond a share of the available memory (in bytes) the runtime gets none, lest it takes all.

    What counts is what could be written, so that a runtime that asks for too much fails at once.
    """
    used = memory_bytes("VmData")
    if used is not None and available is not None:
        with contextlib.suppress(OSError, ValueError):  # some kernels know no such limit
            highest = resource.getrlimit(resource.RLIMIT_DATA)[1]
            limit = used + int(MODEL_SHARE * available)
            if highest == resource.RLIM_INFINITY or limit < highest:
                resource.setrlimit(resource.RLIMIT_DATA, (limit, highest))


def allocate(interpreter: Any) -> None:
    """Prepare the tensors; sizes that are not fixed become 1, and an empty tensor stays empty."""
    for detail in interpreter.get_input_details():
        shape = [int(size) for size in detail["shape"]]
        if -1 in shape:
            interpreter.resize_tensor_input(detail["index"], [1 if size == -1 else size for size in shape])
    interpreter.allocate_tensors()


def fill_inputs(interpreter: Any, seed: int) -> None:
    """Give every input random values."""
    generator = np.random.RandomState(seed % 2**32)
    for detail in interpreter.get_input_details():
        shape = [int(size) for size in detail["shape"]]
        values = random_values(detail["dtype"], elements(shape), generator)
        interpreter.set_tensor(detail["index"], values.reshape(shape))


def reason(error: BaseException) -> str:
    """What the runtime said; for tensors that do not fit into memory it says nothing."""
    said = str(error).strip()
    if said and said != type(error).__name__:
        return said
    return "the runtime gives no reason; most likely the memory does not suffice for the model's tensors"


def delegation(interpreter: Any) -> tuple[str, int | None, int | None]:
    """(delegate, operators it took, operators in all); (`unknown`, None, None) where it does not tell.

    A delegate's node lists only what goes in and out, so the operators it stands for are found by walking
    back from its outputs to its inputs.
    """
    try:
        nodes = interpreter._get_ops_details()
    except Exception:
        return "unknown", None, None
    stand_ins = [node for node in nodes if node["op_name"] in DELEGATE_NODES]
    operators = [node for node in nodes if node["op_name"] not in DELEGATE_NODES]
    producers = {}
    for node in operators:
        for tensor in node["outputs"]:
            producers[int(tensor)] = node["index"], [int(each) for each in node["inputs"]]
    taken: set[int] = set()
    for stand_in in stand_ins:
        borders = {int(tensor) for tensor in stand_in["inputs"]}
        waiting = [int(tensor) for tensor in stand_in["outputs"]]
        while waiting:
            tensor = waiting.pop()
            if tensor in borders or tensor not in producers:
                continue
            index, inputs = producers[tensor]
            if index not in taken:
                taken.add(index)
                waiting.extend(inputs)
    return ("xnnpack" if stand_ins else "none"), len(taken), len(operators)


# --- per-operator times through the C interface of libLiteRt.so

EVENT_SCOPE, EVENT_OPERATOR, EVENT_DELEGATED_OPERATOR = 1, 2, 8
#: element types of the runtime -> NumPy
ELEMENT_TYPES = {
    1: "f4", 2: "i4", 3: "u1", 4: "i8", 6: "?", 7: "i2", 8: "c8", 9: "i1", 10: "f2", 11: "f8", 12: "c16",
    13: "u8", 15: "u4", 16: "u2",
}  # fmt: skip


class Layout(ctypes.Structure):
    """Rank (7 bits) and whether there are strides (1 bit), sizes, strides."""

    _fields_ = [("rank", ctypes.c_uint32), ("sizes", ctypes.c_int32 * 8), ("strides", ctypes.c_uint32 * 8)]


class TensorType(ctypes.Structure):
    """Element type and layout of a tensor."""

    _fields_ = [("element_type", ctypes.c_int32), ("layout", Layout)]


class MemoryUsage(ctypes.Structure):
    """Three sizes that an event begins and ends with."""

    _fields_ = [("sizes", ctypes.c_size_t * 3)]


class Event(ctypes.Structure):
    """One event of the profiler."""

    _fields_ = [
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int32),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory_before", MemoryUsage),
        ("memory_after", MemoryUsage),
        ("node", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int32),
    ]


#: wall time of a run, the run as the profiler saw it (both in us), (label, delegated, us) of every operator
Events = Tuple[float, Optional[int], List[Tuple[str, bool, int]]]
#: what a run gave back, its time in ns, and whether it was preempted
Timed = Tuple[Any, int, bool]
KEEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)


def profiler_obstacle(runtime: str, version: str) -> str | None:
    """Why per-operator times cannot be had here, or None."""
    if runtime != "ai_edge_litert":
        return "per-operator times need the ai-edge-litert runtime; here is %s %s" % (runtime, version)
    if version not in PROFILER_VERSIONS:
        return "the profiler of ai-edge-litert %s was not tried (tried: %s)" % (
            version,
            ", ".join(PROFILER_VERSIONS),
        )
    if sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8 or ctypes.sizeof(TensorType) != 72:
        return "the profiler's interface was tried on little-endian 64-bit machines only"
    return None


class LiteRt:
    """The shared library and its environment, made once."""

    def __init__(self) -> None:
        import ai_edge_litert

        path = os.path.join(os.path.dirname(ai_edge_litert.__file__), "libLiteRt.so")
        try:
            self.library = ctypes.CDLL(path)
        except OSError as error:
            raise Refusal("ProfilerUnavailable", "cannot open %s: %s" % (path, error)) from error
        self.environment = ctypes.c_void_p()
        self.call("LiteRtCreateEnvironment", 0, None, ctypes.byref(self.environment))

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status."""
        try:
            function = getattr(self.library, name)
        except AttributeError:
            raise Refusal("ProfilerUnavailable", "libLiteRt.so has no %s" % name) from None
        status = function(*arguments)
        if status != 0:
            raise Refusal("ProfilerUnavailable", "%s answered status %d for this model" % (name, status))


class ProfiledModel:
    """A model compiled with the profiler switched on; `run_events` gives one run's operators."""

    def __init__(
        self, litert: LiteRt, path: str | None, content: bytes | None, threads: int, seed: int
    ) -> None:
        self.litert = litert
        self.held: list[Any] = []
        self.buffers: list[ctypes.c_void_p] = []
        self.model = ctypes.c_void_p()
        self.compiled = ctypes.c_void_p()
        self.profiler = ctypes.c_void_p()
        call, by = litert.call, ctypes.byref
        if path is not None:
            call("LiteRtCreateModelFromFile", litert.environment, os.fsencode(path), by(self.model))
        else:
            content = content or b""
            held = (ctypes.c_char * len(content)).from_buffer_copy(content)
            self.held.append(held)
            size = ctypes.c_size_t(len(content))
            pointer = ctypes.cast(held, ctypes.c_void_p)
            call("LiteRtCreateModelFromBuffer", litert.environment, pointer, size, by(self.model))
        options = ctypes.c_void_p()
        call("LiteRtCreateOptions", by(options))
        call("LiteRtSetOptionsHardwareAccelerators", options, ctypes.c_int(1))  # the CPU
        self.add_option(options, b"runtime_options_string", b"enable_profiling = true\n")
        self.add_option(options, b"xnnpack", b"num_threads = %d\n" % threads)
        call("LiteRtCreateCompiledModel", litert.environment, self.model, options, by(self.compiled))
        litert.library.LiteRtDestroyOptions(options)
        call("LiteRtCompiledModelGetProfiler", self.compiled, by(self.profiler))
        generator = np.random.RandomState(seed % 2**32)
        inputs = self.make_buffers("Input", generator)
        outputs = self.make_buffers("Output", None)
        self.arguments = (
            self.compiled,
            ctypes.c_size_t(0),
            ctypes.c_size_t(len(inputs)),
            inputs,
            ctypes.c_size_t(len(outputs)),
            outputs,
        )
        self.run_once = litert.library.LiteRtRunCompiledModel

    def add_option(self, options: ctypes.c_void_p, identifier: bytes, payload: bytes) -> None:
        """Add an option that the interface passes on as text."""
        text = ctypes.create_string_buffer(payload)
        self.held.append(text)
        option = ctypes.c_void_p()
        pointer = ctypes.cast(text, ctypes.c_void_p)
        self.litert.call("LiteRtCreateOpaqueOptions", identifier, pointer, KEEP, ctypes.byref(option))
        self.litert.call("LiteRtAddOpaqueOptions", options, option)

    def make_buffers(self, side: str, generator: np.random.RandomState | None) -> Any:
        """Buffers of all inputs (filled by `generator`) or outputs of the first signature."""
        call, by = self.litert.call, ctypes.byref
        signature, count = ctypes.c_void_p(), ctypes.c_size_t()
        call("LiteRtGetModelSignature", self.model, ctypes.c_size_t(0), by(signature))
        call("LiteRtGetNumSignature%ss" % side, signature, by(count))
        buffers = (ctypes.c_void_p * count.value)()
        for i in range(count.value):
            tensor, kind = ctypes.c_void_p(), TensorType()
            needs, buffer = ctypes.c_void_p(), ctypes.c_void_p()
            index, first = ctypes.c_size_t(i), ctypes.c_size_t(0)
            call("LiteRtGetSignature%sTensorByIndex" % side, signature, index, by(tensor))
            call("LiteRtGetRankedTensorType", tensor, by(kind))
            for j in range(8):
                if kind.layout.sizes[j] < 0:
                    kind.layout.sizes[j] = 1
            call("LiteRtGetCompiledModel%sBufferRequirements" % side, self.compiled, first, index, by(needs))
            environment = self.litert.environment
            call("LiteRtCreateManagedTensorBufferFromRequirements", environment, by(kind), needs, by(buffer))
            buffers[i] = buffer
            self.buffers.append(buffer)
            if generator is not None:
                self.fill(buffer, kind.element_type, generator)
        return buffers

    def fill(self, buffer: ctypes.c_void_p, element_type: int, generator: np.random.RandomState) -> None:
        """Write random values into a buffer."""
        if element_type not in ELEMENT_TYPES:
            raise Refusal("ProfilerUnavailable", "an input has element type %d, unknown here" % element_type)
        dtype = np.dtype(ELEMENT_TYPES[element_type])
        size, pointer = ctypes.c_size_t(), ctypes.c_void_p()
        self.litert.call("LiteRtGetTensorBufferSize", buffer, ctypes.byref(size))
        values = random_values(dtype, size.value // dtype.itemsize, generator)
        self.litert.call("LiteRtLockTensorBuffer", buffer, ctypes.byref(pointer), ctypes.c_int(1))
        ctypes.memmove(pointer, values.ctypes.data, values.nbytes)
        self.litert.call("LiteRtUnlockTensorBuffer", buffer)

    def run(self) -> None:
        """Run once without collecting events."""
        status = self.run_once(*self.arguments)
        if status != 0:
            raise Refusal("ProfilerUnavailable", "the profiled model's run ended with status %d" % status)

    def run_events(self) -> Events:
        """What the profiler says of one run."""
        library, count = self.litert.library, ctypes.c_int()
        self.litert.call("LiteRtStartProfiler", self.profiler)
        start = time.perf_counter_ns()
        self.run()
        wall_us = (time.perf_counter_ns() - start) / 1e3
        self.litert.call("LiteRtStopProfiler", self.profiler)
        self.litert.call("LiteRtGetNumProfilerEvents", self.profiler, ctypes.byref(count))
        events = (Event * max(1, count.value))()
        self.litert.call("LiteRtGetProfilerEvents", self.profiler, count, events)
        whole, operators = None, []
        for event in events[: count.value]:
            if event.kind == EVENT_DELEGATED_OPERATOR:
                operators.append((event.tag.decode("utf-8", "replace"), True, event.elapsed_us))
            elif event.kind == EVENT_OPERATOR and event.tag.decode("utf-8", "replace") not in DELEGATE_NODES:
                operators.append((event.tag.decode("utf-8", "replace"), False, event.elapsed_us))
            elif event.kind == EVENT_SCOPE and event.tag == b"Invoke":
                whole = event.elapsed_us
        library.LiteRtResetProfiler(self.profiler)
        return wall_us, whole, operators

    def close(self) -> None:
        """Let go of the runtime's memory."""
        library = self.litert.library
        for buffer in self.buffers:
            library.LiteRtDestroyTensorBuffer(buffer)
        if self.compiled:
            library.LiteRtDestroyCompiledModel(self.compiled)
        if self.model:
            library.LiteRtDestroyModel(self.model)
        self.buffers = []
        self.compiled = self.model = ctypes.c_void_p()


def check_events(runs: list[Events], operators_in_graph: int | None) -> None:
    """Self-test of the profiler on what it said of one model; refuses rather than guesses."""
    first = [(label, delegated) for label, delegated, _ in runs[0][2]]
    problem = None
    if not first:
        problem = "no operator was reported"
    elif (
        operators_in_graph is not None
        and not operators_in_graph / 8.0 <= len(first) <= 4 * operators_in_graph + 4
    ):
        problem = "%d operators were reported for %d in the graph" % (len(first), operators_in_graph)
    for wall_us, run_us, operators in runs:
        total_us = sum(elapsed for _, _, elapsed in operators)
        if [(label, delegated) for label, delegated, _ in operators] != first:
            problem = "the operators reported differ from run to run"
        elif run_us is None or run_us > wall_us + 2:
            problem = "a run of %.0f us was reported as %s us" % (wall_us, run_us)
        elif total_us > 1.02 * run_us + 0.5 * len(first) + 2:
            problem = "operators take %.0f us of a run of %.0f us" % (total_us, run_us)
    whole_us = sum(run[1] or 0 for run in runs)
    explained = sum(elapsed for run in runs for _, _, elapsed in run[2]) / max(1.0, whole_us)
    if problem is None and whole_us >= SHORTEST_CHECKED_US * len(runs) and explained < LEAST_EXPLAINED:
        problem = "the operators explain %.0f %% of the run" % (100 * explained)
    if problem is not None:
        raise Refusal("ProfilerUnavailable", "the profiler failed its self-test on this model: " + problem)


def trimmed_mean(values: list[int]) -> float:
    """Mean of the times (in us) within 1.5 us or a quarter of their median, whichever is wider.

    The profiler cuts both ends of an event to whole microseconds, which a mean evens out and a median does
    not; a cut by rank would lean to the more frequent of two neighbouring values.
    """
    middle = float(np.median(values))
    reach = max(1.5, middle / 4)
    kept = [value for value in values if abs(value - middle) <= reach]
    if not kept:  # the median lies in a gap
        kept = sorted(values)[len(values) // 4 : len(values) - len(values) // 4]
    return sum(kept) / float(len(kept))


# --- measuring


class Preemption:
    """Counts how often the kernel took the core away from the threads that run the model."""

    def __init__(self, threads: int) -> None:
        everyone = resource.RUSAGE_SELF
        self.who = getattr(resource, "RUSAGE_THREAD", everyone) if threads == 1 else everyone

    def count(self) -> int:
        """Involuntary context switches so far."""
        return resource.getrusage(self.who).ru_nivcsw


def burst(
    run: Callable[[], Any], runs: int, min_time_ns: int, deadline_ns: int, preemption: Preemption
) -> list[Timed]:
    """Run until both `runs` and `min_time_ns` are reached.

    Nothing but the run lies between the two readings of the clock.
    """
    clock, switches = time.perf_counter_ns, preemption.count
    out: list[Timed] = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        begin = clock()
        before = switches()
        while True:
            start = clock()
            result = run()
            stop = clock()
            after = switches()
            out.append((result, stop - start, after != before))
            before = after
            if len(out) >= runs and stop - begin >= min_time_ns:
                return out
            if stop > deadline_ns:
                raise Refusal(
                    "DeadlineExceeded",
                    "%d runs of at least %d were done, in %.1f s of at least %.1f s; allow more time or "
                    "ask for less" % (len(out), runs, (stop - begin) / 1e9, min_time_ns / 1e9),
                )
    finally:
        if collecting:
            gc.enable()


def undisturbed(timed: list[Timed]) -> tuple[list[Timed], bool]:
    """(runs to keep, whether all were preempted): those without preemption, else the fastest quarter."""
    clean = [each for each in timed if not each[2]]
    if clean:
        return clean, False
    limit = sorted(each[1] for each in timed)[(len(timed) - 1) // 4]
    return [each for each in timed if each[1] <= limit], True


class Loaded:
    """A model in memory, and what was seen while it was loaded."""

    def __init__(self, worker: Worker, spec: dict[str, str], seed: int) -> None:
        self.key = spec["key"]
        self.path = spec.get("path")
        self.content = base64.b64decode(spec["base64"]) if self.path is None else None
        self.profiled: ProfiledModel | None = None
        self.seed = seed
        memory = PeakMemory()
        try:
            start = time.perf_counter_ns()
            if self.path is not None:
                self.interpreter = worker.interpreter(model_path=self.path, num_threads=worker.threads)
            else:
                self.interpreter = worker.interpreter(model_content=self.content, num_threads=worker.threads)
            made = time.perf_counter_ns()
            available = memory_bytes("MemAvailable", "/proc/meminfo")
            check_inputs(self.interpreter.get_input_details(), available)
            limit_memory(available)
            checked = time.perf_counter_ns()
            allocate(self.interpreter)
            loaded = time.perf_counter_ns()
            fill_inputs(self.interpreter, seed)
            begin = time.perf_counter_ns()
            self.interpreter.invoke()
            end = time.perf_counter_ns()
        except Refusal:
            raise
        except MemoryError:
            raise Refusal("DeviceTrouble", "the device has not enough memory for the model") from None
        except (ImportError, SystemError) as error:
            message = (
                "the runtime does not work with NumPy %s, often one that is too new for it or too old: %s"
            )
            raise Refusal("RuntimeMissing", message % (np.__version__, error)) from error
        except Exception as error:
            raise Refusal("ModelRejected", reason(error)) from error
        self.run: Any = self.interpreter.invoke
        delegate, delegated, total = delegation(self.interpreter)
        self.figures: dict[str, Any] = {
            "initialisation_ms": (loaded - checked + made - start) / 1e6,
            "first_inference_ms": (end - begin) / 1e6,
            "peak_memory_bytes": memory.added(),
            "delegate": delegate,
            "delegated_operators": delegated,
            "total_operators": total,
        }

    def profile(self, worker: Worker, request: dict[str, Any], deadline_ns: int) -> list[list[Any]]:
        """Trimmed mean time of every operator: [[label, delegated, ms]]."""
        if self.profiled is None:
            self.profiled = ProfiledModel(
                worker.litert_library(), self.path, self.content, worker.threads, self.seed
            )
        model, preemption = self.profiled, Preemption(worker.threads)
        for _ in range(max(1, request["warmup_runs"])):
            model.run()
        min_time_ns = int(request["min_time_s"] * 1e9)
        timed = burst(model.run_events, request["min_runs"], min_time_ns, deadline_ns, preemption)
        kept = [result for result, _, _ in undisturbed(timed)[0]]
        check_events(kept, self.figures["total_operators"])
        rows = []
        for i, (label, delegated, _) in enumerate(kept[0][2]):
            rows.append([label, delegated, round(trimmed_mean([run[2][i][2] for run in kept]) / 1e3, 7)])
        return rows

    def power(self, worker: Worker, deadline_ns: int) -> dict[str, Any] | None:
        """What the board's rails draw while the model runs, and how long a run takes then; None if unknown.

        In runs of their own, for reading the rails disturbs them.
        """
        needed_ns = int((POWER_LEAD_S + POWER_S) * 1e9)
        if not worker.rails.rails or time.perf_counter_ns() + 3 * needed_ns > deadline_ns:
            return None
        clock, runs = time.perf_counter_ns, 0
        begin = clock()
        while clock() - begin < POWER_LEAD_S * 1e9:
            self.run()
        begin = clock()
        with PowerMeter(worker.rails, worker.elsewhere) as meter:
            while clock() - begin < POWER_S * 1e9:
                self.run()
                runs += 1
            elapsed_ms = (clock() - begin) / 1e6
        rails = meter.mean_mw()
        return None if rails is None else {"rails_mw": rails, "run_ms": elapsed_ms / runs}

    def close(self) -> None:
        """Let go of the model's memory."""
        if self.profiled is not None:
            self.profiled.close()
        self.run = self.interpreter = None
        self.profiled = None


class Worker:
    """Answers requests; keeps models loaded while memory lasts, the least recently used leave first."""

    def __init__(self) -> None:
        self.threads = 1
        self.cpus: list[int] | None = None
        self.interpreter: Any = None
        self.litert: LiteRt | None = None
        self.obstacle: str | None = "the worker was not greeted"
        self.models: dict[str, Loaded] = {}  # least recently used first
        self.figures: dict[str, dict[str, Any]] = {}  # of every model's first load
        self.load_meter, self.lock = LoadMeter(None), CoreLock(None)
        self.rails = PowerRails()
        self.elsewhere: set[int] | None = None

    def hello(self, request: dict[str, Any]) -> dict[str, Any]:
        """Pin, import the runtime, say what is here."""
        self.threads = request["threads"]
        allowed = set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()
        self.cpus = choose_cpus(self.threads, request["cpus"])
        self.elsewhere = (allowed - set(self.cpus or ())) or None
        raise_priority()
        offer_to_be_ended()
        runtime, version, self.interpreter = import_runtime()
        self.obstacle = profiler_obstacle(runtime, version)
        self.load_meter, self.lock = LoadMeter(self.cpus), CoreLock(self.cpus)
        return {
            "runtime": runtime,
            "runtime_version": version,
            "python_version": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "cpus": self.cpus,
            "profiler": self.obstacle,
            "pid": os.getpid(),
        }

    def litert_library(self) -> LiteRt:
        """The library behind the profiler, opened at its first use."""
        if self.obstacle is not None:
            raise Refusal("ProfilerUnavailable", self.obstacle)
        if self.litert is None:
            self.litert = LiteRt()
        return self.litert

    def make_room(self, spec: dict[str, str], keep: set[str]) -> None:
        """Unload models until the one to come fits into the free memory."""
        size = os.path.getsize(spec["path"]) if spec.get("path") else len(spec["base64"])
        total = memory_bytes("MemTotal", "/proc/meminfo") or 0
        wanted = 5 * size + 64 * 2**20 + total // 5
        for key in list(self.models):
            available = memory_bytes("MemAvailable", "/proc/meminfo")
            if available is None or available >= wanted:
                return
            if key not in keep:
                self.models.pop(key).close()
                gc.collect()

    def load(self, spec: dict[str, str], seed: int, keep: set[str]) -> Loaded:
        """The model in memory, loaded if it is not there."""
        key = spec["key"]
        model = self.models.pop(key, None)
        if model is None:
            try:
                self.make_room(spec, keep)
            except OSError as error:
                raise Refusal("ModelRejected", str(error)) from error
            model = Loaded(self, spec, seed)
            self.figures.setdefault(key, model.figures)
        self.models[key] = model
        return model

    def timed(
        self, model: Loaded, warmup_runs: int, min_runs: int, min_time_s: float, deadline_ns: int
    ) -> list[Timed]:
        """A warm burst of one model."""
        try:
            for _ in range(warmup_runs):
                model.run()
            return burst(model.run, min_runs, int(min_time_s * 1e9), deadline_ns, Preemption(self.threads))
        except RuntimeError as error:
            raise Refusal("ModelRejected", "its run failed: " + reason(error)) from error

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """One burst of one model, next to a short one of the reference, while no other worker measures.

        The wait for the others counts towards the deadline.
        """
        deadline_ns = time.perf_counter_ns() + int(request["deadline_s"] * 1e9)
        self.lock.take(min(LOCK_WAIT_S, request["deadline_s"] / 4))
        try:
            return self.measure_alone(request, deadline_ns)
        finally:
            self.lock.free()

    def measure_alone(self, request: dict[str, Any], deadline_ns: int) -> dict[str, Any]:
        """The burst itself."""
        spec, reference = request["model"], request["reference"]
        keep = {spec["key"]} | ({reference["key"]} if reference else set())
        reference_ms = None
        if reference:
            anchor = self.load(reference, request["seed"], keep)
            timed = self.timed(anchor, REFERENCE_WARMUP_RUNS, REFERENCE_RUNS, 0.0, deadline_ns)
            reference_ms = float(np.percentile([ns for _, ns, _ in undisturbed(timed)[0]], 25)) / 1e6
        model = self.load(spec, request["seed"], keep)
        throttles = throttle_count(self.cpus)
        self.load_meter.mark()
        timed = self.timed(
            model, request["warmup_runs"], request["min_runs"], request["min_time_s"], deadline_ns
        )
        frequency = frequency_khz(self.cpus)
        kept, all_preempted = undisturbed(timed)
        answer = dict(self.figures[spec["key"]])
        answer.update(
            samples_ms=[ns / 1e6 for _, ns, _ in kept],
            dropped=len(timed) - len(kept),
            all_preempted=all_preempted,
            reference_ms=reference_ms,
            other_load=self.load_meter.other_load(),
            throttled=throttled_since(throttles, self.cpus),
            governor=governor(self.cpus),
            frequency_khz=frequency,
            power=model.power(self, deadline_ns),
            operators=model.profile(self, request, deadline_ns) if request["per_operator"] else None,
        )
        return answer

    def unload(self, request: dict[str, Any]) -> dict[str, Any]:
        """Forget models."""
        for key in request["keys"]:
            if key in self.models:
                self.models.pop(key).close()
            self.figures.pop(key, None)
        gc.collect()
        return {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request; an error is a reply too."""
        handlers = {
            "hello": self.hello,
            "measure": self.measure,
            "unload": self.unload,
        }
        try:
            handler = handlers[request["command"]]
            if hasattr(signal, "alarm"):  # a hang outlives neither its host nor this
                signal.alarm(math.ceil(request.get("deadline_s", 120)) + ALARM_GRACE_S)
            try:
                reply = handler(request)
            finally:
                if hasattr(signal, "alarm"):
                    signal.alarm(0)
        except Refusal as refusal:
            reply = {"error": refusal.kind, "message": str(refusal)}
        except Exception as error:
            reply = {"error": "DeviceTrouble", "message": "%s: %s" % (type(error).__name__, error)}
        reply["id"] = request.get("id")
        return reply


def remove_stale(directory: str) -> None:
    """Remove what hosts that were killed at their start left beside this worker's directory.

    That is what is called alike, old, and named by no process; without /proc, nothing.
    """
    parent, name = os.path.split(os.path.abspath(directory))
    if not name.startswith(DIRECTORY):
        return
    processes = [process for process in os.listdir("/proc") if process.isdigit()]
    running = "\n".join(read_text("/proc/%s/cmdline" % process) or "" for process in processes)
    for other in os.listdir(parent):
        path = os.path.join(parent, other)
        alike = other.startswith(DIRECTORY) and len(other) == len(name)
        if not alike or other == name or other in running:
            continue
        with contextlib.suppress(OSError):
            found = os.lstat(path)
            old = time.time() - found.st_mtime > STALE_S
            if old and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
                shutil.rmtree(path, ignore_errors=True)


def read_requests(requests: queue.Queue[bytes], directory: str | None) -> None:
    """Hand on the lines of standard input; when it ends, end the process, whatever it is doing."""
    for line in sys.stdin.buffer:
        requests.put(line)
    leave(directory)


def leave(directory: str | None) -> NoReturn:
    """The host is gone: remove what it sent and end, whatever other threads do."""
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Keep standard output for replies, whatever the runtime prints, and answer until the input ends."""
    replies = os.dup(1)
    os.dup2(2, 1)
    requests: queue.Queue[bytes] = queue.Queue()
    directory = sys.argv[1] if len(sys.argv) > 1 else None
    threading.Thread(target=read_requests, args=(requests, directory), daemon=True).start()
    if directory:
        with contextlib.suppress(OSError):
            remove_stale(directory)
    worker = Worker()
    while True:
        try:
            request = json.loads(requests.get().decode("utf-8"))
        except ValueError as error:
            reply = {"id": None, "error": "DeviceTrouble", "message": "not a request: %s" % error}
        else:
            reply = worker.answer(request)
        rest = json.dumps(reply).encode("utf-8") + b"\n"
        try:
            while rest:
                rest = rest[os.write(replies, rest) :]
        except OSError:
            leave(directory)


if __name__ == "__main__":
    main()

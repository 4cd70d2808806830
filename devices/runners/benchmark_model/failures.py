"""Why a run of `benchmark_model` came to nothing: its exit code and outputs, told as one of our errors.

Knows what shells, loaders, kernels and the tool itself say. A kind of failure is found by the line that names
it, the most specific first; that line is the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from devices.errors import (
    DeadlineExceeded,
    DelegateFallback,
    DevicesError,
    DeviceTrouble,
    LinkError,
    ModelRejected,
    NoSpace,
    OutOfMemory,
    RuntimeMissing,
    UnreadableOutput,
    WorkerCrashed,
    WrongAbi,
)
from devices.runners.benchmark_model.lines import MOST_CHARACTERS, lines
from devices.runners.worker_process import LINE_KEPT, ending

#: exit code of `timeout` where the time was up
TIMED_OUT = 124
KILLED = 137
#: lines at the beginning and at the end of an output in which a reason is looked for
MOST_LINES = 5000

#: before the tool's own first word: what shells and loaders say instead of starting it
_NOT_STARTED: Sequence[tuple[type[DevicesError], str]] = (
    (
        WrongAbi,
        r"not executable: \S+ ELF file|exec format error|cannot execute binary file|wrong ELF class"
        r"|unexpected e_machine|is (?:32|64)-bit instead of|bad ELF magic"
        r"|syntax error: .{0,300}[\"'][()][\"']?|only position independent executables",
    ),
    (
        LinkError,
        r"CANNOT LINK EXECUTABLE|error while loading shared libraries|cannot locate symbol|undefined symbol"
        r"|symbol lookup error|version `?\S+' not found|dlopen failed|symbol not found",
    ),
    (
        RuntimeMissing,
        r"(?:inaccessible or )?not found$|No such file or directory$|Permission denied$"
        r"|can't execute: (?:No such file|Permission)",
    ),
)
#: in the order in which a reason outweighs another
_REASONS: Sequence[tuple[type[DevicesError], str]] = (
    (NoSpace, r"No space left on device|Disk quota exceeded"),
    (
        OutOfMemory,
        r"bad_alloc|Cannot allocate memory|out of memory|OutOfMemory|CL_OUT_OF_(?:HOST_MEMORY|RESOURCES)"
        r"|CL_MEM_OBJECT_ALLOCATION_FAILURE|GL_OUT_OF_MEMORY|lowmemorykiller|Failed to allocate memory",
    ),
    (
        DelegateFallback,
        # why the library of an external delegate is none, before what follows of it
        r"Unable to load external delegate from"
        r"|(?:Failed|Unable) to load .{0,300}(?:dlopen|cannot open shared)",
    ),
    (
        DelegateFallback,
        r"Failed to apply (?:the )?(?:default )?\w+ delegate|Could not create \w+ delegate"
        r"|acceleration is unsupported on this platform"
        r"|Failed to (?:create|initialize) (?:a |the )?dispatch|No usable Dispatch runtime"
        r"|accelerator could not be loaded|Failed to build program executable|Can not open OpenCL library"
        r"|No EGL error, but eglInitialize|Full delegation was required",
    ),
    (
        ModelRejected,
        r"Didn't find op for builtin opcode|unresolved custom op"
        r"|(?:Regular TensorFlow ops|Select TensorFlow op\(s\).{0,300}) (?:are|is\(are\)) not supported"
        r"|Registration failed|failed to prepare|Failed to (?:mmap|load) (?:the )?model"
        r"|identifier .{0,300} should be|Could not open .{0,300}\.tflite"
        r"|not a valid Flatbuffer|is not a flatbuffer"
        r"|Unsupported (?:type|data type)|Model provided has|Failed to get signature|No such signature",
    ),
    (DelegateFallback, r"Node number \d{1,9} \(\w{0,100}Delegate\w{0,100}\) failed to invoke"),
    (ModelRejected, r"Node number \d{1,9} \(.{1,300}?\) failed to invoke"),
    # what comes of any of these
    (
        ModelRejected,
        r"Failed to initialize the interpreter|Failed to (?:allocate|resize) tensors|Failed to compile model"
        r"|Failed to invoke",
    ),
    # XNNPACK takes no part in many a model that the processor runs
    (DelegateFallback, r"Though (?!XNNPACK)\w+ delegate.{0,300} will not be executed (?:by|w/) the delegate"),
)
_SIGNALS = re.compile(r"Fatal signal (\d{1,2}) \((SIG\w+)\)")
_SAID_BY_SHELLS = {
    "Segmentation fault": 11,
    "Bus error": 7,
    "Illegal instruction": 4,
    "Aborted": 6,
    "Floating point exception": 8,
    "Killed": 9,
}
_NODE = re.compile(r"Node number \d{1,9} \(.{1,300}?\) failed to ")
_KERNEL = re.compile(r"\S{1,200}\.(?:cc|cpp|h):\d{1,6} ")
_UNTELLING = re.compile(r"|Benchmarking failed\.?|={3,}.*|\*\*\*.*|count=.*|\S{0,3}")


def failure(exit_code: int, stdout: str, stderr: str) -> DevicesError:
    """What went wrong with a run that gave no result.

    Args:
        exit_code: in the convention of `CommandResult`.
        stdout: what it printed; hostile, like `stderr`.
        stderr: what it, or the shell that should start it, printed there.
    """
    said = _said(stdout, stderr)
    started = any(line.startswith(("STARTING!", "Loaded model", "Graph: [")) for line in said)
    if not started and (found := _find(_NOT_STARTED, said)):
        kind, line = found
        return kind(f"benchmark_model cannot be started there: {line}")
    signalled = _signal(exit_code, said)
    if found := _find(_REASONS, said):
        kind, line = found
        untaken = kind is DelegateFallback and "will not be executed" in line
        told = f"{line.rstrip('.')}; it took no node (0 %)" if untaken else line
        told = f"{told} (benchmark_model ended with {ending(exit_code)})" if exit_code else told
        return DelegateFallback(told, 0) if untaken else kind(told)
    if exit_code == KILLED or signalled == 9:
        return OutOfMemory(
            "benchmark_model was killed, which is how the kernel ends a process when memory runs out"
        )
    if exit_code == TIMED_OUT:
        return DeadlineExceeded("benchmark_model did not end in the time it was given")
    words = _last(said)
    if signalled is not None:
        told = f"; its last line: {words}" if words else ""
        return WorkerCrashed(f"benchmark_model ended with {ending(128 + signalled)}{told}")
    if exit_code:
        return DeviceTrouble(
            f"benchmark_model ended with {ending(exit_code)}: {words or 'it printed nothing that tells why'}"
        )
    return UnreadableOutput(
        f"benchmark_model printed no result; its last line: {words}"
        if words
        else "benchmark_model printed no result"
    )


def _said(stdout: str, stderr: str) -> list[str]:
    """Plain lines of both outputs; the middle of an output that is too long is left out."""
    found: list[str] = []
    for text in (stdout, stderr):
        half = MOST_CHARACTERS // 2
        told = list(lines(text if len(text) <= half else text[: half // 2] + text[-half // 2 :]))
        found += told if len(told) <= 2 * MOST_LINES else told[:MOST_LINES] + told[-MOST_LINES:]
    return found


def _find(
    kinds: Iterable[tuple[type[DevicesError], str]], said: Sequence[str]
) -> tuple[type[DevicesError], str] | None:
    """The first kind of which a line speaks, with the first such line, shortened."""
    for kind, pattern in kinds:
        speaks = re.compile(pattern, re.IGNORECASE).search
        for number, line in enumerate(said):
            if found := speaks(line):
                return kind, _shortened(_with_cause(said, number), found.end())
    return None


def _with_cause(said: Sequence[str], number: int) -> str:
    """A line; for one that only names a node with the line before it, in which the node's kernel says why."""
    line, before = said[number], said[number - 1] if number else ""
    return f"{before}; {line}" if _NODE.match(line) and _KERNEL.match(before) else line


def _shortened(line: str, end: int) -> str:
    """A line's beginning, or what leads to the end of what counts in it."""
    if len(line) <= LINE_KEPT:
        return line
    return line[:LINE_KEPT] if end <= LINE_KEPT else f"... {line[:end][-LINE_KEPT:]}"


def _signal(exit_code: int, said: Sequence[str]) -> int | None:
    """The signal that ended it, by its exit code or, where that was lost on the way, by what a shell said."""
    if 128 < exit_code < 128 + 65:
        return exit_code - 128
    for line in reversed(said):
        if fatal := _SIGNALS.search(line):
            return int(fatal[1])
        for words, number in _SAID_BY_SHELLS.items():
            if line.startswith(words):
                return number
    return None


def _last(said: Sequence[str]) -> str:
    """The last line that may tell why."""
    return next((line for line in reversed(said) if not _UNTELLING.fullmatch(line)), "")[:LINE_KEPT]

"""Who ran the nodes: reads what a console says of delegates, and judges whether the one asked for did.

A delegate that cannot run a model, or only part of it, is not an error to the tool: it measures all the same,
on the CPU. Its console tells, in lines that differ from version to version and from delegate to delegate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from devices.errors import DelegateFallback
from devices.measurement import Settings
from devices.runners.benchmark_model.values import Applied, Delegates, Result, Taken

XNNPACK = "TfLiteXNNPackDelegate"
MOST_NOTES = 1000
_REPLACING = re.compile(
    r"Replacing (\d{1,9})(?: out of (\d{1,9}))? node\(s\) with delegate \(([^()]{1,200})\)"
    r"(?: node, yielding (\d{1,9}) partitions(?: for (.{1,200}?))?\.?)?"
)
_DELEGATED = re.compile(
    r"(?:\[[\w .-]{1,64}\] ?)?([\w.-]{1,200})(?: delegate)?: (\d{1,9}) nodes delegated out of (\d{1,9}) "
    r"nodes with (\d{1,9}) partitions\.?"
)
_APPLIED = re.compile(
    r"(?:Explicitly applied|Applied) (\w{1,64}) delegate, and the model graph will be (completely|partially) "
    r"executed (?:by|w/) the delegate(?: w/ (\d{1,9}) delegate kernels)?\.?"
)
_NOT_APPLIED = re.compile(
    r"Though (\w{1,64}) delegate is (?:explicitly )?applied, the model(?: graph)? will not be executed "
    r"(?:by|w/) the delegate\.?"
)
_GPU_KERNELS = re.compile(r"Created (\d{1,9}) GPU delegate kernels\.?")
_GPU_BACKEND = re.compile(r"Initialized (OpenCL|OpenGL)-based API\.?")
_ACCELERATORS = re.compile(r"NNAPI accelerators available: \[([^\]]{0,500})\]")
_UNCONSUMED = re.compile(r"Unconsumed cmdline flags: *(.*)")
_REFUSED = re.compile(
    r"\w{1,64} acceleration is unsupported on this platform\.?"
    r"|Could not create \w{1,64} delegate: .{1,300}"
    r"|Failed to apply (?:the )?(?:default )?\w{1,64} delegate\.?"
    r"|Unable to load external delegate from : .{1,300}"
    r"|\w{1,64} accelerator could not be loaded.{0,300}"
    # comes after the line that gives the nodes to this delegate
    r"|Failed to (?:create a dispatch delegate kernel|initialize Dispatch API).{0,300}"
)
#: how the console names what was asked for: the tool's word, and the delegates' own names
_NAMES = {
    "xnnpack": ("XNNPACK", re.compile("XNNPack", re.IGNORECASE)),
    "gpu": ("GPU", re.compile(r"gpu|metal|litert_(?:cl|gl|webgpu|metal)", re.IGNORECASE)),
    "nnapi": ("NNAPI", re.compile("nnapi", re.IGNORECASE)),
    "npu": ("NPU", re.compile(r"dispatch|npu|neuron|qnn|htp", re.IGNORECASE)),
    # has a name of its own that nobody knows
    "external": ("EXTERNAL", re.compile(r"(?i)\A(?!.*(?:xnnpack|flex|tflitegpu|tflitennapi|litert_))")),
}
_FLAGS = re.compile(r"--(?:use_\w*|gpu_\w*|\w*nnapi\w*|\w*xnnpack\w*|external_\w*|\w*library_path)(?:=|$)")


@dataclass(slots=True)
class Reader:
    """Takes lines as they come; `delegates()` is what they said."""

    taken: dict[tuple[str, str], Taken] = field(default_factory=dict)
    applied: dict[str, Applied] = field(default_factory=dict)
    kernels: int | None = None
    backend: str | None = None
    accelerators: tuple[str, ...] | None = None
    xnnpack_created: bool = False
    refused: list[str] = field(default_factory=list)
    unconsumed: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Take one line, whatever it is."""
        if found := _REPLACING.fullmatch(line):
            taken, nodes, name, partitions, graph = found.groups()
            if graph:  # more exact than what the delegate itself may have said
                self.taken.pop((name, ""), None)
            self._took(name, graph or "", taken, nodes, partitions)
        elif found := _DELEGATED.fullmatch(line):
            name, taken, nodes, partitions = found.groups()
            if not any(name == known for known, _ in self.taken):  # some say it twice, in both ways
                self._took(name, "", taken, nodes, partitions)
        elif found := _APPLIED.fullmatch(line):
            self._applied(Applied(found[1], found[2], int(found[3]) if found[3] else None))
        elif found := _NOT_APPLIED.fullmatch(line):
            self._applied(Applied(found[1], "not"))
        elif found := _GPU_KERNELS.fullmatch(line):
            self.kernels = int(found[1])
        elif found := _GPU_BACKEND.fullmatch(line):
            self.backend = found[1]
        elif found := _ACCELERATORS.fullmatch(line):
            self.accelerators = tuple(filter(None, (name.strip() for name in found[1].split(","))))
        elif line.startswith("Created TensorFlow Lite XNNPACK delegate"):
            self.xnnpack_created = True
        elif found := _UNCONSUMED.fullmatch(line):
            self.unconsumed += found[1].split()[: MOST_NOTES - len(self.unconsumed)]
        elif _REFUSED.fullmatch(line) and len(self.refused) < MOST_NOTES:
            self.refused.append(line)

    def delegates(self) -> Delegates:
        """What was said so far."""
        return Delegates(
            taken=tuple(self.taken.values()),
            applied=tuple(self.applied.values()),
            gpu_kernels=self.kernels,
            gpu_backend=self.backend,
            accelerators=self.accelerators,
            xnnpack_created=self.xnnpack_created,
            refused=tuple(self.refused),
            unconsumed=tuple(self.unconsumed),
        )

    def _took(self, name: str, graph: str, taken: str, nodes: str | None, partitions: str | None) -> None:
        # a graph that is prepared again is announced again: the last word counts
        if len(self.taken) < MOST_NOTES or (name, graph) in self.taken:
            self.taken[name, graph] = Taken(
                name, int(taken), int(nodes) if nodes else None, int(partitions) if partitions else None
            )

    def _applied(self, applied: Applied) -> None:
        if len(self.applied) < MOST_NOTES or applied.delegate in self.applied:
            self.applied[applied.delegate] = applied


def share(result: Result, settings: Settings) -> tuple[int, int | None] | None:
    """How many nodes the delegate that was asked for took, and of how many; None where it is not told.

    For `cpu` these are the nodes that XNNPACK took.
    """
    kind = _kind(settings)
    word, own = _NAMES[kind]
    said = result.delegates
    taken = [one for one in said.taken if own.search(one.delegate)]
    told = taken and all(one.nodes is not None for one in taken)
    nodes = sum(one.nodes or 0 for one in taken) if told else None
    if any(one.delegate == word and one.how == "not" for one in said.applied):
        return 0, nodes  # whatever it said before
    if not taken:
        return (0, None) if kind == "gpu" and said.gpu_kernels == 0 else None
    return sum(one.taken for one in taken), nodes


def fallback(result: Result, settings: Settings) -> DelegateFallback | None:
    """Why this is no result of the delegate that was asked for, with the share of nodes it took; else None.

    A GPU, an NPU, NNAPI or an external delegate must have run every node. XNNPACK must have been offered the
    model: it is the runtime's own way on the processor, and what it does not take runs on the same cores
    (`share` tells how much). For `cpu` it must have run none.
    """
    said = result.delegates
    took = share(result, settings)
    word, _ = _NAMES[_kind(settings)]
    ignored = [flag for flag in said.unconsumed if _FLAGS.match(flag)]
    if ignored:
        return _not(settings, f"benchmark_model does not know {' '.join(ignored)[:300]}", took)
    applied = next((one for one in said.applied if one.delegate == word), None)
    if settings.delegate == "cpu":
        ran = took[0] > 0 if took else (applied.how != "not" if applied else said.xnnpack_created)
        return _not(settings, "XNNPACK ran the model as well", took) if ran else None
    reason = _reason(result, settings, applied, took)
    return _not(settings, reason, took) if reason else None


def _reason(
    result: Result, settings: Settings, applied: Applied | None, took: tuple[int, int | None] | None
) -> str:
    said, kind = result.delegates, _kind(settings)
    words = {"npu": ("NPU", "dispatch", "Dispatch"), "external": ("EXTERNAL", "external delegate")}.get(
        kind, (_NAMES[kind][0],)
    )
    refused = next((line for line in said.refused if any(word in line for word in words)), None)
    if refused:
        return refused
    if kind == "xnnpack":
        return "" if took or applied or said.xnnpack_created else _silent("XNNPACK")
    if applied and applied.how == "not":
        return f"the model graph will not be executed by the {applied.delegate} delegate"
    if kind == "gpu" and said.gpu_kernels == 0:
        return "Created 0 GPU delegate kernels"
    if took and took[0] == 0:
        return "the delegate ran nothing of the model"
    if not took and not applied:
        return _silent("it")
    if (took and took[1] is not None and took[0] < took[1]) or (applied and applied.how == "partially"):
        return "the delegate ran only part of the model, and the CPU the rest"
    if kind == "nnapi" and said.accelerators == ("nnapi-reference",):
        return "NNAPI has no accelerator there but nnapi-reference, which is the CPU"
    wanted = {"gpu-opencl": "OpenCL", "gpu-opengl": "OpenGL"}.get(settings.delegate)
    own = "LITERT_CL" if wanted == "OpenCL" else "LITERT_GL"
    if wanted and said.gpu_backend != wanted and not any(own in one.delegate for one in said.taken):
        return f"the GPU was used through {said.gpu_backend or 'an unnamed interface'} instead of {wanted}"
    return ""


def _kind(settings: Settings) -> str:
    """Which names of `_NAMES` stand for what was asked."""
    if settings.delegate == "cpu":
        return "xnnpack"
    return re.split("[:-]", settings.delegate)[0]


def _nodes(taken: int, nodes: int | None) -> str:
    if nodes is None and not taken:
        return "it took no node (0 %)"
    if nodes is None:
        return f"it took {taken} nodes of a number that is not told"
    return (
        f"it took {taken} of {nodes} nodes ({taken / nodes:.1%})".replace("%", " %") if nodes else "no nodes"
    )


def _silent(what: str) -> str:
    return f"nothing on the console says that {what} took the model"


def _not(settings: Settings, reason: str, took: tuple[int, int | None] | None) -> DelegateFallback:
    told = reason.rstrip(".") + (f"; {_nodes(*took)}" if took else "")
    return DelegateFallback(f"not a result of the delegate {settings.delegate}: {told}", *(took or ()))

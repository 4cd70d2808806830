"""What the stand-in says of delegates, each line with its level. Only XNNPACK is really there.

The lines are those of consoles that people have published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Line = tuple[str, str]


def replacing(delegate: str, taken: int, nodes: int) -> Line:
    """The line that says how many of the model's nodes a delegate took."""
    line = (
        f"Replacing {taken} out of {nodes} node(s) with delegate ({delegate}) node, "
        "yielding 1 partitions for subgraph 0."
    )
    return line, "VERBOSE"


def applied(name: str, delegate: str, taken: int, nodes: int) -> Iterator[Line]:
    """The lines about a delegate that was asked for."""
    if not taken:
        yield (
            f"Though {name} delegate is explicitly applied, "
            "the model graph will not be executed by the delegate.",
            "INFO",
        )
        return
    yield replacing(delegate, taken, nodes)
    how = "completely executed by the delegate."
    if taken < nodes:
        how = "partially executed by the delegate w/ 1 delegate kernels."
    yield (f"Explicitly applied {name} delegate, and the model graph will be {how}", "INFO")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line asks for.

    Attributes:
        gpu: what becomes of the GPU ("works", "partial": half of the nodes, "none"); None: nobody asked.
        opengl: whether the GPU is to be used through OpenGL.
        nnapi: whether NNAPI is to take all that is left.
        external: whether an external delegate is.
        xnnpack: whether XNNPACK was asked for; None: nobody said anything, so the runtime applies it.
    """

    gpu: str | None
    opengl: bool
    nnapi: bool
    external: bool
    xnnpack: bool | None


def told(asked: Asked, nodes: int, for_xnnpack: int) -> Iterator[Line]:
    """The lines of a run, in order.

    Args:
        asked: what the command line asks for.
        nodes: operators of the model.
        for_xnnpack: how many of them XNNPACK takes.
    """
    left = nodes
    if asked.gpu is not None:
        taken = {"works": nodes, "partial": max(1, nodes // 2), "none": 0}[asked.gpu]
        yield from _gpu(taken, nodes, asked.opengl)
        left -= taken
    if asked.nnapi:
        yield ("Created TensorFlow Lite delegate for NNAPI.", "INFO")
        yield ("NNAPI delegate created.", "INFO")
        yield from applied("NNAPI", "TfLiteNnapiDelegate", left, nodes)
        left = 0
    if asked.external:
        yield ("EXTERNAL delegate created.", "INFO")
        yield from applied("EXTERNAL", "StandInDelegate", left, nodes)
        left = 0
    # the nodes that another delegate took have become one
    now = left + (left < nodes)
    if asked.xnnpack:
        yield ("XNNPACK delegate created.", "INFO")
        yield from applied("XNNPACK", "TfLiteXNNPackDelegate", min(left, for_xnnpack), now)
    elif asked.xnnpack is None and min(left, for_xnnpack):
        yield replacing("TfLiteXNNPackDelegate", min(left, for_xnnpack), now)


def _gpu(taken: int, nodes: int, opengl: bool) -> Iterator[Line]:
    yield ("Created TensorFlow Lite delegate for GPU.", "INFO")
    yield ("GPU delegate created.", "INFO")
    if not taken:
        yield ("Can not open OpenCL library on this device - dlopen failed: library not found", "ERROR")
        yield ("Falling back to OpenGL", "ERROR")
    elif taken < nodes:
        yield ("Following operations are not supported by GPU delegate:", "ERROR")
    if taken and opengl:
        yield ("Initialized OpenGL-based API.", "INFO")
    elif taken:
        yield ("Loaded OpenCL library with dlopen.", "INFO")
        yield ("Initialized OpenCL-based API.", "INFO")
    yield (f"Created {int(taken > 0)} GPU delegate kernels.", "INFO")
    yield from applied("GPU", "TfLiteGpuDelegateV2", taken, nodes)

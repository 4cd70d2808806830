"""What the stand-in says of delegates, each line with its level. Only XNNPACK is really there.

The lines are those of consoles that people have published.
"""

from __future__ import annotations

from collections.abc import Iterator

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


def gpu(nodes: int, works: str) -> Iterator[Line]:
    """The lines about the GPU, which "works", takes half of the nodes ("partial") or "none"."""
    yield ("Created TensorFlow Lite delegate for GPU.", "INFO")
    yield ("GPU delegate created.", "INFO")
    if works == "none":
        yield ("Can not open OpenCL library on this device - dlopen failed: library not found", "ERROR")
        yield ("Falling back to OpenGL", "ERROR")
        yield ("Created 0 GPU delegate kernels.", "INFO")
        yield from applied("GPU", "TfLiteGpuDelegateV2", 0, nodes)
        return
    taken = nodes if works == "works" else max(1, nodes // 2)
    if taken < nodes:
        yield ("Following operations are not supported by GPU delegate:", "ERROR")
    yield ("Loaded OpenCL library with dlopen.", "INFO")
    yield ("Initialized OpenCL-based API.", "INFO")
    yield ("Created 1 GPU delegate kernels.", "INFO")
    yield from applied("GPU", "TfLiteGpuDelegateV2", taken, nodes)


def nnapi(nodes: int) -> Iterator[Line]:
    """The lines about NNAPI, which takes everything."""
    yield ("Created TensorFlow Lite delegate for NNAPI.", "INFO")
    yield ("NNAPI delegate created.", "INFO")
    yield from applied("NNAPI", "TfLiteNnapiDelegate", nodes, nodes)


def external(nodes: int) -> Iterator[Line]:
    """The lines about an external delegate, which takes everything."""
    yield ("EXTERNAL delegate created.", "INFO")
    yield from applied("EXTERNAL", "StandInDelegate", nodes, nodes)


def xnnpack(taken: int, nodes: int, asked: bool) -> Iterator[Line]:
    """The lines about XNNPACK, besides the one that the runtime itself prints."""
    if asked:
        yield ("XNNPACK delegate created.", "INFO")
        yield from applied("XNNPACK", "TfLiteXNNPackDelegate", taken, nodes)
    elif taken:
        yield replacing("TfLiteXNNPackDelegate", taken, nodes)

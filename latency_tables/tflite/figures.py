"""Arithmetic between an operator's figures: what its shapes must be. Knows no files and no runtime."""

from __future__ import annotations

from latency_tables.ops import WINDOWED, OpSpec, Shape

_SAME_SIZE = frozenset(
    {"reshape", "quantize", "dequantize", "relu", "relu6", "softmax", "logistic", "hard_swish"}
)


def contradiction(spec: OpSpec) -> str | None:
    """What does not fit together in `spec`, in words; None when its figures agree or are not known here."""
    if spec.kind in WINDOWED:
        return _window(spec)
    if spec.kind == "fully_connected":
        rows = size(spec.output[:-1])
        if not spec.output or size(spec.inputs[0] if spec.inputs else ()) % rows:
            return f"fully_connected of {spec.inputs} cannot give {spec.output}"
    if spec.kind in {"add", "mul", "sub"} and len(spec.inputs) == 2:
        given = broadcast(*spec.inputs)
        if given != spec.output:
            return f"{spec.kind} of {spec.inputs} gives {given}, not {spec.output}"
    if spec.kind in _SAME_SIZE and len(spec.inputs) == 1 and size(spec.inputs[0]) != size(spec.output):
        return f"{spec.kind} of {spec.inputs[0]} cannot give {spec.output}"
    return None


def size(shape: Shape) -> int:
    """Elements of a tensor of this shape."""
    count = 1
    for length in shape:
        count *= length
    return count


def broadcast(left: Shape, right: Shape) -> Shape | None:
    """The shape of an elementwise operator's output, None where the two do not go together."""
    rank = max(len(left), len(right))
    pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
    joined = tuple(a if b == 1 else b if a in (1, b) else 0 for a, b in pairs)
    return None if 0 in joined else joined


def extent(length: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """Output length of a window that slides over `length`."""
    covered = (kernel - 1) * dilation + 1
    return -(-length // stride) if padding == "same" else -(-(length - covered + 1) // stride)


def axes_of_mean(given: Shape, output: Shape) -> tuple[int, ...] | None:
    """Axes that a mean reduces: the kept ones' sizes are those of the output; None where it cannot be.

    Where several readings exist, the spatial axes of NHWC come first.
    """
    rank = len(given)
    if len(output) == rank:
        axes = tuple(i for i in range(rank) if output[i] != given[i])
        if any(output[i] != 1 for i in axes):
            return None
        return axes or ((1, 2) if rank == 4 and given[1:3] == (1, 1) else None)
    count = rank - len(output)
    if count < 1:
        return None
    starts = sorted(range(rank - count + 1), key=lambda start: start != 1)
    runs = (tuple(range(start, start + count)) for start in starts)
    return next((run for run in runs if given[: run[0]] + given[run[-1] + 1 :] == output), None)


def axis_of_concatenation(inputs: tuple[Shape, ...], output: Shape) -> int | None:
    """The axis along which the inputs are joined; None where they cannot be."""
    for axis in reversed(range(len(output))):
        rests = {shape[:axis] + shape[axis + 1 :] for shape in inputs if len(shape) == len(output)}
        fits = len({len(shape) for shape in (*inputs, output)}) == 1 and rests == {
            output[:axis] + output[axis + 1 :]
        }
        if fits and sum(shape[axis] for shape in inputs) == output[axis]:
            return axis
    return None


def _window(spec: OpSpec) -> str | None:
    if spec.kernel is None or spec.stride is None or spec.padding is None or not spec.inputs:
        return f"{spec.kind} lacks its window or its input"
    given, output = spec.inputs[0], spec.output
    if len(given) != 4 or len(output) != 4:
        return f"{spec.kind} of {given} giving {output}: both must be NHWC"
    if spec.kind == "transpose_conv":
        return None
    wanted = tuple(
        extent(given[1 + i], spec.kernel[i], spec.stride[i], spec.dilation[i], spec.padding) for i in range(2)
    )
    if output[1:3] != wanted or output[0] != given[0]:
        window = (
            f"kernel {spec.kernel}, stride {spec.stride}, dilation {spec.dilation}, padding {spec.padding}"
        )
        return (
            f"{spec.kind} of {given} with {window} gives {(given[0], *wanted)} before channels, not {output}"
        )
    channels, filters = given[3], output[3]
    if spec.kind.endswith("pool_2d") and filters != channels:
        return f"{spec.kind} of {channels} channels cannot give {filters}"
    if spec.kind == "depthwise_conv_2d" and filters % channels:
        return f"depthwise_conv_2d of {channels} channels cannot give {filters}"
    if spec.kind == "conv_2d" and (channels % spec.groups or filters % spec.groups):
        return f"conv_2d of {channels} channels in {spec.groups} groups cannot give {filters}"
    return None

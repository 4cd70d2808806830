"""A .tflite file as plain records, every offset checked. Knows the bytes, not what the operators mean."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from latency_tables.errors import BadModel


def _names(enumeration: type) -> dict[int, str]:
    return {code: name.lower() for name, code in vars(enumeration).items() if isinstance(code, int)}


KINDS = _names(schema.BuiltinOperator)
TYPES = _names(schema.TensorType)
ACTIVATION_NAMES = {code: name for code, name in _names(schema.ActivationFunctionType).items() if code}
PADDING_NAMES = _names(schema.Padding)

#: fields of the options that matter, by the kind of operator; names as the schema has them
_WINDOW = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")
_DILATED = (*_WINDOW, "DilationHFactor", "DilationWFactor")
_POOL = (*_WINDOW, "FilterHeight", "FilterWidth")
_FUSED = ("FusedActivationFunction",)
_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "conv_2d": ("Conv2DOptions", _DILATED),
    "depthwise_conv_2d": ("DepthwiseConv2DOptions", (*_DILATED, "DepthMultiplier")),
    "transpose_conv": ("TransposeConvOptions", _WINDOW),
    "average_pool_2d": ("Pool2DOptions", _POOL),
    "max_pool_2d": ("Pool2DOptions", _POOL),
    "l2_pool_2d": ("Pool2DOptions", _POOL),
    "fully_connected": ("FullyConnectedOptions", (*_FUSED, "KeepNumDims", "WeightsFormat")),
    "add": ("AddOptions", _FUSED),
    "sub": ("SubOptions", _FUSED),
    "mul": ("MulOptions", _FUSED),
    "div": ("DivOptions", _FUSED),
    "concatenation": ("ConcatenationOptions", (*_FUSED, "Axis")),
    "batch_matmul": ("BatchMatMulOptions", ("AdjX", "AdjY")),
}
#: what the generated accessors raise on offsets that lead nowhere
_GARBAGE = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    MemoryError,
    RecursionError,
)
_SCHEMA = 3
_BITS = {
    **dict.fromkeys(("int2",), 2),
    **dict.fromkeys(("int4", "uint4"), 4),
    **dict.fromkeys(("int8", "uint8", "bool", "float8_e4m3fn", "float8_e5m2"), 8),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 16),
    **dict.fromkeys(("int32", "uint32", "float32"), 32),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 64),
    "complex128": 128,
}
#: the least that a table and the offset to it take
_TABLE_BYTES = 8
_MOST_ELEMENTS = 5_000_000
_MOST_DIMENSIONS = 16
#: characters of a name that a message quotes: in a corrupt file a name may be most of it
_MOST_QUOTED = 120


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor: `shape` as stored, `dynamic` where a size is -1 in it or in its signature.

    `data` is the constant's bytes, empty for what is computed; `scales` and `zero_points` are empty without
    quantisation, of one element per tensor, and of as many as `shape[axis]` per channel.
    """

    name: str
    shape: tuple[int, ...]
    dynamic: tuple[bool, ...]
    dtype: str
    data: memoryview
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int

    @property
    def label(self) -> str:
        """Its name as messages quote it."""
        return _quoted(self.name)

    @property
    def constant(self) -> bool:
        """Whether the file holds its value."""
        return len(self.data) > 0


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """An operator: tensors by index (-1 for an input left out), options where we need them."""

    kind: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Subgraph:
    """Tensors, operators in execution order, and which tensors enter and leave."""

    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


def load(content: bytes) -> tuple[Subgraph, ...]:
    """Read a .tflite file; the first subgraph is the network.

    Raises:
        BadModel: the content is empty, truncated, corrupt or something else than a .tflite file.
    """
    if not content:
        raise BadModel("the model is empty (0 bytes); expected the content of a .tflite file")
    if content[4:8] != b"TFL3":
        raise BadModel(
            f"this is no .tflite model: bytes 4 to 7 are {content[4:8]!r} instead of b'TFL3' "
            f"({len(content)} bytes, which begin with {content[:4]!r})"
        )
    try:
        return _Loader(content).subgraphs()
    except _GARBAGE as error:
        detail = error if type(error) is ValueError else "an offset leads nowhere"
        raise BadModel(
            f"the .tflite model is truncated or corrupt: {detail} ({len(content)} bytes); get the file again"
        ) from None


class _Loader:
    """Walks the tables once; a budget bounds the work that a corrupt file's overlapping vectors cause."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.left = min(len(content), _MOST_ELEMENTS)
        self.model = schema.Model.GetRootAs(content, 0)

    def subgraphs(self) -> tuple[Subgraph, ...]:
        model = self.model
        if model.Version() != _SCHEMA:
            raise ValueError(f"it says schema version {model.Version()}; there is only {_SCHEMA}")
        codes = [
            self._code(table) for table in self._tables(model.OperatorCodesLength(), model.OperatorCodes)
        ]
        buffers = [self._buffer(table) for table in self._tables(model.BuffersLength(), model.Buffers)]
        found = tuple(
            self._subgraph(table, codes, buffers)
            for table in self._tables(model.SubgraphsLength(), model.Subgraphs)
        )
        if not found:
            raise BadModel("the .tflite model is truncated or corrupt: it holds no subgraph")
        return found

    def _spend(self, elements: int) -> None:
        self.left -= elements
        if elements < 0 or self.left < 0:
            raise BadModel(
                "the .tflite model is truncated or corrupt: its vectors hold more than a file of "
                f"{len(self.content)} bytes can"
            )

    def _tables(self, length: int, table: Callable[[int], Any]) -> list[Any]:
        self._spend(_TABLE_BYTES * length)
        return [table(index) for index in range(length)]

    def _ints(self, vector: Any) -> tuple[int, ...]:
        if isinstance(vector, int):  # the generated code says 0 for a vector that is absent
            return ()
        self._spend(len(vector))
        return tuple(map(int, vector))

    def _text(self, raw: bytes | None) -> str:
        self._spend(len(raw or b"") // 16)
        return (raw or b"").decode("utf-8", errors="replace")

    def _code(self, table: Any) -> tuple[str, int]:
        code = max(table.BuiltinCode(), table.DeprecatedBuiltinCode())
        if code == schema.BuiltinOperator.CUSTOM:
            return f"custom:{self._text(table.CustomCode())[:_MOST_QUOTED]}", table.Version()
        return KINDS.get(code, f"builtin_{code}"), table.Version()

    def _buffer(self, table: Any) -> memoryview:
        start, size = table.Offset(), table.Size()
        if size > 1 and start > 1:  # beyond the flatbuffer: how files of more than 2 GB are stored
            if start + size > len(self.content):
                raise ValueError(f"a buffer ends at byte {start + size}")
            return memoryview(self.content)[start : start + size]
        data = table.DataAsNumpy()
        return memoryview(b"") if isinstance(data, int) else memoryview(data)

    def _subgraph(
        self, table: Any, codes: Sequence[tuple[str, int]], buffers: Sequence[memoryview]
    ) -> Subgraph:
        tensors = tuple(
            self._tensor(each, buffers) for each in self._tables(table.TensorsLength(), table.Tensors)
        )
        operators = tuple(
            self._operator(each, codes, len(tensors))
            for each in self._tables(table.OperatorsLength(), table.Operators)
        )
        inputs, outputs = self._ints(table.InputsAsNumpy()), self._ints(table.OutputsAsNumpy())
        _check_indices((*inputs, *outputs), 0, len(tensors))
        return Subgraph(tensors, inputs, outputs, operators)

    def _tensor(self, table: Any, buffers: Sequence[memoryview]) -> Tensor:
        name, shape = self._text(table.Name()), self._ints(table.ShapeAsNumpy())
        label = _quoted(name)
        signature = self._ints(table.ShapeSignatureAsNumpy())
        if len(shape) > _MOST_DIMENSIONS or any(length < -1 for length in shape):
            raise ValueError(f"tensor {label} is of shape {shape[:_MOST_DIMENSIONS]}")
        both = signature if len(signature) == len(shape) else shape
        if table.Type() not in TYPES:
            raise ValueError(f"tensor {label} is of type {table.Type()}")
        if not 0 <= table.Buffer() < max(1, len(buffers)):
            raise ValueError(f"tensor {label} lies in buffer {table.Buffer()} of {len(buffers)}")
        dtype, data = TYPES[table.Type()], buffers[table.Buffer()] if buffers else memoryview(b"")
        bytes_needed = -(-prod(shape) * _BITS.get(dtype, 0) // 8)
        if len(data) and dtype in _BITS and table.Sparsity() is None and len(data) != bytes_needed:
            raise ValueError(f"tensor {label}, {dtype} of {shape}, has {len(data)} bytes, not {bytes_needed}")
        scales, zero_points, axis = self._quantisation(table.Quantization())
        return Tensor(
            name,
            tuple(1 if size == -1 else size for size in shape),
            tuple(-1 in pair for pair in zip(shape, both, strict=True)),
            dtype,
            data,
            scales,
            zero_points,
            axis,
        )

    def _quantisation(self, table: Any) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
        scales, zero_points, axis = np.empty(0, np.float32), np.empty(0, np.int64), 0
        if table is not None and table.ScaleLength():
            self._spend(table.ScaleLength() + table.ZeroPointLength())
            scales, axis = table.ScaleAsNumpy(), table.QuantizedDimension()
            zero_points = (
                table.ZeroPointAsNumpy() if table.ZeroPointLength() else np.zeros(len(scales), np.int64)
            )
        return scales, zero_points, axis

    def _operator(self, table: Any, codes: Sequence[tuple[str, int]], tensors: int) -> Operator:
        if not 0 <= table.OpcodeIndex() < len(codes):
            raise ValueError(f"an operator has code {table.OpcodeIndex()} of {len(codes)}")
        kind, version = codes[table.OpcodeIndex()]
        inputs, outputs = self._ints(table.InputsAsNumpy()), self._ints(table.OutputsAsNumpy())
        _check_indices(inputs, -1, tensors)
        _check_indices(outputs, 0, tensors)
        options: dict[str, int] = {}
        if kind in _OPTIONS and table.BuiltinOptionsType():
            name, fields = _OPTIONS[kind]
            if table.BuiltinOptionsType() != getattr(schema.BuiltinOptions, name):
                raise ValueError(f"{kind} carries options of type {table.BuiltinOptionsType()}")
            union, options_table = table.BuiltinOptions(), getattr(schema, name)()
            options_table.Init(union.Bytes, union.Pos)
            options = {field: int(getattr(options_table, field)()) for field in fields}
        return Operator(kind, version, inputs, outputs, options)


def _quoted(name: str) -> str:
    return repr(name if len(name) <= _MOST_QUOTED else f"{name[:_MOST_QUOTED]}...")


def _check_indices(indices: Sequence[int], lowest: int, tensors: int) -> None:
    for index in indices:
        if not lowest <= index < tensors:
            raise ValueError(f"tensor {index} of {tensors}")

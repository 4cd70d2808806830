"""From a graph of operators to a .tflite file, without a converter. Knows the file, not the figures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from latency_tables.errors import BadOpSpec
from latency_tables.ops import Graph, Node, OpSpec, Shape
from latency_tables.tflite import defaults, figures, layout
from latency_tables.tflite.builder import Builder
from latency_tables.tflite.values import NodeValues, Quantisation

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
}
_NONE = NodeValues()


def write(graph: Graph, values: Mapping[int, NodeValues] | None = None, *, seed: int = 0) -> bytes:
    """Write a network as a .tflite file, float32 or int8 with a scale per output channel of the weights.

    Args:
        graph: its nodes' `dtype` decides the types; `quantize` and `dequantize` nodes change them.
        values: weights and quantisation, by node, and by `-1 - k` the quantisation of input `k`, as
            `values(content)` reads them from a file. What is not given is random or a usual figure.
        seed: of the random weights.

    Raises:
        BadOpSpec: an operator cannot be written, its figures contradict each other, its sources have other
            shapes than it, or `values` do not fit.
    """
    return _Writer(graph, values or {}, seed).content()


def single(spec: OpSpec) -> Graph:
    """The network of one operator, each of its inputs an input of the network."""
    sources = tuple(-1 - position for position in range(len(spec.inputs)))
    return Graph(spec.inputs, spec.dtype, (Node(spec, sources),), (0,))


class _Writer:
    """Collects the tables of one file; what occurs again (shapes, options, quantisations) is written once."""

    def __init__(self, graph: Graph, values: Mapping[int, NodeValues], seed: int) -> None:
        self._graph, self._values, self._seed = graph, values, seed
        self._builder = Builder()
        self._shared: dict[Hashable, int] = {}
        self._buffers: list[int] = []
        self._tensors: list[int] = []
        self._codes: dict[tuple[int, int], int] = {}
        self._quantisations: dict[int, Quantisation] = {}

    def content(self) -> bytes:
        graph, builder = self._graph, self._builder
        _check(graph)
        self._quantisations = defaults.quantisations(graph, self._values)
        self._buffer(None)
        indices = {
            -1 - k: self._activation(-1 - k, shape, graph.dtype) for k, shape in enumerate(graph.inputs)
        }
        inputs = builder.ints(list(indices.values()))
        operators = []
        for position, node in enumerate(graph.nodes):
            sources = [indices[source] for source in node.sources]
            operands = self._operands(position, node, sources)
            spec = node.spec
            indices[position] = self._activation(position, spec.output, layout.output_dtype(spec))
            operators.append(self._operator(spec, operands, indices[position]))
        outputs = builder.ints([indices[position] for position in graph.outputs])
        tables = [builder.offsets(self._tensors), inputs, outputs, builder.offsets(operators)]
        subgraph = self._table("SubGraph", Tensors=tables[0], Inputs=tables[1], Outputs=tables[2],
                               Operators=tables[3], Name=builder.text("main"))  # fmt: skip
        codes = [
            self._table(
                "OperatorCode", DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=version
            )
            for code, version in self._codes
        ]
        model = self._table(
            "Model",
            Version=3,
            OperatorCodes=builder.offsets(codes),
            Subgraphs=builder.offsets([subgraph]),
            Description=builder.text("mnas"),
            Buffers=builder.offsets(self._buffers),
        )
        return builder.finish(model, b"TFL3")

    def _operands(self, position: int, node: Node, sources: list[int]) -> list[int]:
        """Tensors that the operator reads: its activations, then its constants."""
        spec, given = node.spec, self._values.get(position, _NONE)
        form = layout.FORMS[spec.kind]
        weighted = layout.filters(spec)
        if weighted is not None:
            return sources + self._weights(position, node, given, weighted)
        if form.shapes is not None:
            numbers, shape = form.shapes(spec)
            if spec.kind == "pad" and given.weights is not None:
                numbers = tuple(map(int, _fitting(given.weights, shape, spec, "paddings").ravel()))
            return [*sources, self._int32s(numbers, shape)]
        if form.most == 2 and len(sources) == 1:
            return [*sources, self._operand(spec, given)]
        return sources

    def _weights(
        self, position: int, node: Node, given: NodeValues, filters: tuple[Shape, int, int]
    ) -> list[int]:
        shape, axis, products = filters
        spec, count, channels = node.spec, figures.size(shape), shape[axis]
        integer = spec.dtype == "int8"
        start, deviation = defaults.begin(self._seed, position), defaults.deviation(spec, products)
        bias: Sequence[memoryview] | None
        if given.weights is not None:
            weights = _bytes(
                _fitting(given.weights, shape, spec, "weights"), np.int8 if integer else np.float32
            )
            bias = None
            if given.bias is not None or spec.kind != "fully_connected":  # the others must have one
                nothing = np.zeros(channels, np.int32)
                numbers = _fitting(nothing if given.bias is None else given.bias, (channels,), spec, "bias")
                bias = _bytes(numbers, np.int32 if integer else np.float32)
        elif integer:
            weights = defaults.int8s(start, count)
            bias = defaults.int32s(start, channels)
        else:
            weights = defaults.floats(deviation, start, count)
            bias = defaults.floats(1 / 16, start, channels)
        coded = bias_coded = None
        if integer:
            scales = given.scales
            if scales is None:
                scales = defaults.scales(deviation, channels)
            if scales.shape not in {(1,), (channels,)}:
                raise BadOpSpec(f"{len(scales)} scales for {channels} channels in the values of {spec}")
            zeros = np.zeros(len(scales), np.int64) if given.zero_points is None else given.zero_points
            coded = self._quantisation(scales, zeros, axis)
            source = np.float32(self._quantisations[node.sources[0]].scale)
            bias_coded = self._quantisation(scales * source, np.zeros(len(scales), np.int64), 0)
        first = self._constant(weights, shape, spec.dtype, coded)
        if bias is None:
            return [first, -1]
        return [first, self._constant(bias, (channels,), "int32" if integer else "float32", bias_coded)]

    def _operand(self, spec: OpSpec, given: NodeValues) -> int:
        """The constant second operand of an elementwise operator; 0.5 where none is given."""
        integer = spec.dtype == "int8"
        dtype = np.int8 if integer else np.float32
        numbers = np.array(64 if integer else 0.5, dtype) if given.weights is None else given.weights
        coded = None
        if integer:
            scales = np.full(1, 1 / 128, np.float32) if given.scales is None else given.scales
            zeros = np.zeros(len(scales), np.int64) if given.zero_points is None else given.zero_points
            coded = self._quantisation(scales, zeros, 0)
        return self._constant(_bytes(numbers, dtype), numbers.shape, spec.dtype, coded)

    def _operator(self, spec: OpSpec, operands: list[int], output: int) -> int:
        form, builder = layout.FORMS[spec.kind], self._builder
        key = (layout.code(spec.kind), form.version(spec))
        fields: dict[str, int] = {
            "OpcodeIndex": self._codes.setdefault(key, len(self._codes)),
            "Inputs": builder.ints(operands),
            "Outputs": builder.ints((output,)),
        }
        if form.options:
            options = form.fields(spec)
            content = (form.options, *options.items())
            if content not in self._shared:
                self._shared[content] = self._table(form.options, **options)
            fields["BuiltinOptionsType"] = getattr(schema.BuiltinOptions, form.options)
            fields["BuiltinOptions"] = self._shared[content]
        return self._table("Operator", **fields)

    def _activation(self, key: int, shape: Shape, dtype: str) -> int:
        coded = None
        if dtype == "int8":
            one = self._quantisations[key]
            coded = self._quantisation(
                np.array([one.scale], np.float32), np.array([one.zero_point], np.int64), 0
            )
        return self._tensor(f"input_{-1 - key}" if key < 0 else f"node_{key}", shape, dtype, 0, coded)

    def _int32s(self, numbers: tuple[int, ...], shape: Shape) -> int:
        key = ("int32s", numbers, shape)
        if key not in self._shared:
            self._shared[key] = self._constant(_bytes(np.array(numbers), np.int32), shape, "int32", None)
        return self._shared[key]

    def _constant(
        self, parts: Sequence[memoryview], shape: Shape, dtype: str, quantisation: int | None
    ) -> int:
        buffer = self._buffer(parts)
        return self._tensor(f"constant_{buffer}", shape, dtype, buffer, quantisation)

    def _tensor(self, name: str, shape: Shape, dtype: str, buffer: int, quantisation: int | None) -> int:
        builder = self._builder
        if shape not in self._shared:
            self._shared[shape] = builder.ints(shape)
        fields = {
            "Shape": self._shared[shape],
            "Type": _TYPES[dtype],
            "Buffer": buffer,
            "Name": builder.text(name),
        }
        if quantisation is not None:
            fields["Quantization"] = quantisation
        self._tensors.append(self._table("Tensor", **fields, HasRank=True))
        return len(self._tensors) - 1

    def _buffer(self, parts: Sequence[memoryview] | None) -> int:
        fields = {} if parts is None else {"Data": self._builder.blob(parts)}
        self._buffers.append(self._table("Buffer", **fields))
        return len(self._buffers) - 1

    def _quantisation(self, scales: NDArray[np.float32], zeros: NDArray[np.int64], axis: int) -> int:
        raw, raw_zeros = scales.astype("<f4").tobytes(), zeros.astype("<i8").tobytes()
        key = (raw, raw_zeros, axis)
        if key not in self._shared:
            if raw_zeros not in self._shared:
                self._shared[raw_zeros] = self._builder.packed(raw_zeros, len(zeros), 8)
            self._shared[key] = self._table(
                "QuantizationParameters",
                Scale=self._builder.packed(raw, len(scales), 4),
                ZeroPoint=self._shared[raw_zeros],
                QuantizedDimension=axis,
            )
        return self._shared[key]

    def _table(self, name: str, **fields: Any) -> int:
        builder = self._builder
        getattr(schema, f"{name}Start")(builder)
        for field, value in fields.items():
            getattr(schema, f"{name}Add{field}")(builder, value)
        return int(getattr(schema, f"{name}End")(builder))


def _check(graph: Graph) -> None:
    """Every operator can be written, and reads what is there."""
    if graph.dtype not in {"float32", "int8"}:
        raise BadOpSpec(f"networks of {graph.dtype} cannot be written; float32 and int8 can")
    if not graph.nodes or not all(0 <= output < len(graph.nodes) for output in graph.outputs):
        raise BadOpSpec(
            f"a network of {len(graph.nodes)} nodes with the outputs {graph.outputs} cannot be written"
        )
    for position, node in enumerate(graph.nodes):
        spec = node.spec
        layout.form(spec)
        if len(node.sources) != len(spec.inputs):
            raise BadOpSpec(f"node {position} has {len(node.sources)} sources for {spec}")
        for source, wanted in zip(node.sources, spec.inputs, strict=True):
            if not -len(graph.inputs) <= source < position:
                raise BadOpSpec(
                    f"node {position} reads {source}, which is neither an input nor an earlier node"
                )
            before = graph.nodes[source].spec if source >= 0 else None
            shape = before.output if before else graph.inputs[-1 - source]
            dtype = layout.output_dtype(before) if before else graph.dtype
            if (shape, dtype) != (wanted, spec.dtype):
                raise BadOpSpec(f"node {position}, {spec}, reads {source}, which gives {dtype} of {shape}")


def _fitting(array: NDArray[Any], shape: Shape, spec: OpSpec, name: str) -> NDArray[Any]:
    if array.shape != shape:
        raise BadOpSpec(f"{name} of shape {array.shape} in the values of {spec}; it takes {shape}")
    return array


def _bytes(array: NDArray[Any], dtype: Any) -> list[memoryview]:
    return [np.ascontiguousarray(array, dtype).reshape(-1).data.cast("B")]

"""Weights and quantisation for networks that have none: plausible ones at no cost per weight. Writes nothing.

Weights are cut from a short pool of random numbers, repeated as often as it takes; its length is prime, so
that rows of a matrix differ. Their variance is He's (2 / fan-in) before an activation, 1 / fan-in otherwise:
in deep networks signals neither fade into denormals nor overflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import log2

import numpy as np
from numpy.typing import NDArray

from latency_tables.ops import Graph, OpSpec
from latency_tables.tflite.layout import FORMS, output_dtype
from latency_tables.tflite.values import NodeValues, Quantisation, quantised

_POOL = 65_521
_INT8_DEVIATION = 73.3
_CHANNELS = (1 + 0.1 * (np.arange(1 << 16) % 7)).astype(np.float32) / np.float32(1.3)
_SIGNED = Quantisation(8 / 255, 0)
_POSITIVE = Quantisation(6 / 255, -128)
_PIXELS = Quantisation(1 / 127.5, -1)


def begin(seed: int, position: int) -> int:
    """Where in the pool the weights of a network's node begin."""
    return (seed * 104_729 + position * 7919) % _POOL


def floats(deviation: float, start: int, count: int) -> list[memoryview]:
    """`count` normal float32 numbers of about this standard deviation (within a fifth), in pieces."""
    return _cut(_float_pool(round(2 * log2(deviation))), 4, start, count)


def int8s(start: int, count: int) -> list[memoryview]:
    """`count` int8 numbers, uniform within -127 and 127."""
    return _cut(_int8_pool(), 1, start, count)


def int32s(start: int, count: int) -> list[memoryview]:
    """`count` int32 numbers of the size of a bias, uniform within -4064 and 4064."""
    return _cut(_int32_pool(), 4, start, count)


def deviation(spec: OpSpec, products: int) -> float:
    """Standard deviation of the weights of an operator that sums so many products per output."""
    return float(((2 if spec.activation else 1) / products) ** 0.5)


def scales(deviation: float, channels: int) -> NDArray[np.float32]:
    """Scale of each output channel of int8 weights; they differ, as real ones do."""
    return np.resize(_CHANNELS, channels) * np.float32(deviation / _INT8_DEVIATION)


def quantisations(graph: Graph, values: Mapping[int, NodeValues]) -> dict[int, Quantisation]:
    """Quantisation of every int8 activation: node `i` or, as `-1 - k`, the network's input `k`.

    What `values` gives is taken; operators that keep their input's quantisation share one with it; logistic
    and softmax give the one that TFLite demands.
    """
    parents: dict[int, int] = {}

    def root(key: int) -> int:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    wanted: dict[int, list[Quantisation]] = {}
    settled: dict[int, Quantisation] = {}
    inputs = [-1 - k for k in range(len(graph.inputs))] if graph.dtype == "int8" else []
    keys = inputs + [i for i, node in enumerate(graph.nodes) if output_dtype(node.spec) == "int8"]
    for key in keys[len(inputs) :]:
        node = graph.nodes[key]
        if FORMS[node.spec.kind].keeps:
            for source in node.sources:
                parents[root(source)] = root(key)
    for key in keys:
        spec = graph.nodes[key].spec if key >= 0 else None
        given = quantised(values, key) or (FORMS[spec.kind].fixed if spec else None)
        if given is not None:
            settled.setdefault(root(key), given)
        elif spec is None or not FORMS[spec.kind].keeps:
            wanted.setdefault(root(key), []).append(_usual(spec))
    chosen = {}
    for key in keys:
        common = settled.get(root(key)) or max(wanted[root(key)], key=lambda each: each.scale)
        chosen[key] = quantised(values, key) or common
    return chosen


def _usual(spec: OpSpec | None) -> Quantisation:
    if spec is None or spec.kind == "quantize":
        return _PIXELS
    bounded = {spec.activation, spec.kind} & {"relu", "relu6"}
    return _POSITIVE if bounded else _SIGNED


@cache
def _float_pool(half_octaves: int) -> memoryview:
    numbers = np.random.default_rng(0).standard_normal(_POOL, np.float32)
    return memoryview((numbers * np.float32(2 ** (half_octaves / 2))).tobytes())


@cache
def _int8_pool() -> memoryview:
    return memoryview(np.random.default_rng(1).integers(-127, 128, _POOL, np.int8).tobytes())


@cache
def _int32_pool() -> memoryview:
    return memoryview((np.frombuffer(_int8_pool(), np.int8).astype(np.int32) * 32).tobytes())


def _cut(pool: memoryview, width: int, start: int, count: int) -> list[memoryview]:
    first, length = start * width, count * width
    if first + length <= len(pool):
        return [pool[first : first + length]]
    whole, rest = divmod(length - (len(pool) - first), len(pool))
    return [pool[first:], *[pool] * whole, pool[:rest]]

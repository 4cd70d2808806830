"""What the emulated phone's operators take where every one has a time of its own. Times nothing."""

from __future__ import annotations

from math import prod
from typing import Any

from devices.emulator.graph import Tensors, operators

#: microseconds that a run takes besides its operators
OVERHEAD_US = 20.0
#: an operator that runs alone finds its tensors where it left them
ALONE = 0.85
#: what a second operator saves where a delegate runs it with the first
JOINED = 0.7
#: how much faster the GPU is than the processor
GPU = 0.5
#: kind -> microseconds of a call, and multiply-accumulates or elements in a microsecond
_COSTS = {
    "CONV_2D": (8.0, 4000.0),
    "DEPTHWISE_CONV_2D": (6.0, 700.0),
    "FULLY_CONNECTED": (5.0, 2500.0),
}
_OTHER = (4.0, 1500.0)


def operators_us(interpreter: Any) -> dict[int, float]:
    """Microseconds of each operator within its network, by its number."""
    tensors = Tensors(interpreter)
    return {node["index"]: _operator_us(node, tensors) for node in operators(interpreter)}


def _operator_us(node: dict[str, Any], tensors: Tensors) -> float:
    kind = node["op_name"]
    each, speed = _COSTS.get(kind, _OTHER)
    inputs = [int(index) for index in node["inputs"]]
    elements = sum(prod(tensors.shape(int(index))) for index in node["outputs"])
    if kind == "CONV_2D":
        work = elements * prod(tensors.shape(inputs[1])[1:])
    elif kind == "DEPTHWISE_CONV_2D":
        work = elements * prod(tensors.shape(inputs[1])[1:3])
    elif kind == "FULLY_CONNECTED":
        work = prod(tensors.shape(inputs[1]))
    else:
        work = elements + prod(tensors.shape(inputs[0]) if inputs else ())
    if tensors.is_int8(inputs[0] if inputs else -1):
        speed *= 2
    return each + work / speed


def network_us(times_us: dict[int, float], blocks: list[list[int]]) -> dict[int, float]:
    """What the operators take with what their neighbours save them; of one that runs alone, less.

    Args:
        times_us: `operators_us`.
        blocks: the operators that a delegate joins, those that it does not each on their own.
    """
    if len(times_us) == 1:
        return {index: us * ALONE for index, us in times_us.items()}
    return {
        index: times_us[index] * (JOINED if place else 1.0)
        for block in blocks
        for place, index in enumerate(block)
    }


def shares(interpreter: Any) -> dict[int, float]:
    """For each operator how much it gives: what a run takes is shared out by that where it is timed."""
    tensors = Tensors(interpreter)
    return {
        node["index"]: 1.0 + sum(prod(tensors.shape(int(each))) for each in node["outputs"])
        for node in operators(interpreter)
    }

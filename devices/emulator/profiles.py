"""The rows that the stand-in's profile of operators has, in the ways of several tools. Times nothing.

`operators`: the runtime's own kernels. `xnnpack`: XNNPACK's names for its operators, as since 2022, those of
one name and place in several partitions added up. `partitions`: one row for all that a delegate took, as
XNNPACK before and as GPU delegates. `blocks`: one row for each few operators that a delegate joins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devices.emulator import costs, graph
from devices.emulator.console import Node
from devices.emulator.graph import Tensors

#: kinds that a delegate joins where the second follows the first
_JOINED = frozenset({("LOGISTIC", "MUL"), ("CONV_2D", "ADD"), ("DEPTHWISE_CONV_2D", "MEAN")})
#: what XNNPACK calls its operators for floats and for bytes
_LABELS = {
    "CONV_2D": ("Convolution (NHWC, F32) IGEMM", "Convolution (NHWC, QC8) IGEMM"),
    "DEPTHWISE_CONV_2D": ("Convolution (NHWC, F32) DWConv", "Convolution (NHWC, QC8) DWConv"),
    "FULLY_CONNECTED": ("Fully Connected (NC, F32) GEMM", "Fully Connected (NC, QS8, QC8W) GEMM"),
    "AVERAGE_POOL_2D": ("Average Pooling (NHWC, F32) Pixelwise Average Pooling",) * 2,
    "MAX_POOL_2D": ("Max Pooling (NHWC, F32)", "Max Pooling (NHWC, S8)"),
    "MEAN": ("Mean (ND) Reduce2", "Mean (ND) Reduce"),
    "ADD": ("Add (ND)",) * 2,
    "MUL": ("Multiply (ND)",) * 2,
    "LOGISTIC": ("Sigmoid (NC)",) * 2,
    "HARD_SWISH": ("HardSwish (NC)",) * 2,
    "SOFTMAX": ("Softmax (NC, F32)",) * 2,
    "RESHAPE": ("Static Reshape (NC)",) * 2,
}
#: milliseconds of the reshaping before a dense layer
_RESHAPING_MS = 0.001


@dataclass(frozen=True, slots=True)
class Delegated:
    """A delegate, and the operators that it took, by number."""

    delegate: str
    taken: frozenset[int]


def delegated(interpreter: Any, *, on_gpu: bool) -> Delegated:
    """Who took operators: the GPU all, else XNNPACK those that it can."""
    if on_gpu:
        return Delegated(
            "TfLiteGpuDelegateV2", frozenset(one["index"] for one in graph.operators(interpreter))
        )
    return Delegated("TfLiteXNNPackDelegate", frozenset(graph.delegated(interpreter)))


def times_us(style: str, interpreter: Any, run_by: Delegated) -> dict[int, float]:
    """What each operator takes where every one has a time of its own."""
    groups: list[list[int]] = []
    for taken, nodes in graph.order(interpreter, run_by.taken):
        joined = blocks(nodes) if taken and style == "blocks" else [[node] for node in nodes]
        groups += [[node["index"] for node in block] for block in joined]
    found = costs.network_us(costs.operators_us(interpreter), groups)
    faster = costs.GPU if "Gpu" in run_by.delegate else 1.0
    return {index: us * faster for index, us in found.items()}


def rows(style: str, interpreter: Any, run_by: Delegated, times_ms: dict[int, float]) -> list[Node]:
    """The rows of a profile in order.

    Args:
        style: one of those above.
        run_by: who ran them.
        times_ms: what each operator took.
    """
    tensors = Tensors(interpreter)
    count = len(graph.operators(interpreter))
    found: list[Node] = []
    for taken, nodes in graph.order(interpreter, frozenset() if style == "operators" else run_by.taken):
        if not taken:
            found += [_own(node, tensors, times_ms) for node in nodes]
        elif style == "xnnpack" and "XNN" in run_by.delegate:
            found += _xnnpack(nodes, tensors, times_ms)
        else:
            groups = blocks(nodes) if style == "blocks" else [nodes]
            for group in groups:
                time_ms = sum(times_ms[node["index"]] for node in group)
                inside = {int(each) for node in nodes if node not in group for each in node["inputs"]}
                outputs = [int(each) for node in group for each in node["outputs"]]
                leaving = [each for each in outputs if each in inside or each == outputs[-1]]
                number = count + len(found)
                found.append(Node(run_by.delegate, f"[{tensors.names(leaving)}]:{number}", time_ms, time_ms))
    return _added_up(found)


def blocks(nodes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Operators in the order of execution, those together that a delegate joins."""
    groups: list[list[dict[str, Any]]] = []
    for node in nodes:
        last = groups[-1] if groups else []
        follows = len(last) == 1 and set(map(int, last[0]["outputs"])) & set(map(int, node["inputs"]))
        if follows and (last[0]["op_name"], node["op_name"]) in _JOINED:
            last.append(node)
        else:
            groups.append([node])
    return groups


def _own(node: dict[str, Any], tensors: Tensors, times_ms: dict[int, float]) -> Node:
    index, outputs = node["index"], list(map(int, node["outputs"]))
    return Node(node["op_name"], f"[{tensors.names(outputs)}]:{index}", times_ms[index], times_ms[index])


def _xnnpack(nodes: list[dict[str, Any]], tensors: Tensors, times_ms: dict[int, float]) -> list[Node]:
    """One partition's operators, which count from its beginning."""
    found: list[Node] = []
    for node in nodes:
        inputs, ms = [int(index) for index in node["inputs"]], times_ms[node["index"]]
        label = _LABELS.get(node["op_name"], (node["op_name"].title(),) * 2)[tensors.is_int8(inputs[0])]
        if node["op_name"] == "CONV_2D":
            size = tensors.shape(inputs[1])[1:3]
            same = tensors.shape(inputs[0])[1:3] == tensors.shape(int(node["outputs"][0]))[1:3]
            if size == (1, 1) and same:  # a fully connected operator to XNNPACK
                label = _LABELS["FULLY_CONNECTED"][tensors.is_int8(inputs[0])]
        if node["op_name"] == "FULLY_CONNECTED":
            reshaping = f"Delegate/Static Reshape (NC):{len(found)}"
            found.append(Node("Static Reshape (NC)", reshaping, _RESHAPING_MS, _RESHAPING_MS))
            ms = max(0.0, ms - _RESHAPING_MS)
        found.append(Node(label, f"Delegate/{label}:{len(found)}", ms, ms))
    return found


def _added_up(nodes: list[Node]) -> list[Node]:
    """Rows of one name as one, as the tool's statistics have them."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        found.setdefault(node.name, []).append(node)
    return [
        Node(each[0].kind, name, each[0].first_ms, sum(one.total_ms for one in each) / len(each), len(each))
        for name, each in found.items()
    ]

"""Looks into a model that LiteRT has loaded: its operators, those that a delegate took, its inputs."""

from __future__ import annotations

from typing import Any

from devices.emulator.console import Node, Stat


def operators(interpreter: Any) -> list[dict[str, Any]]:
    """The model's own operators, in order, without the nodes that delegates put in."""
    return [each for each in _all_nodes(interpreter) if each["op_name"] != "DELEGATE"]


def _all_nodes(interpreter: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = interpreter._get_ops_details()
    return found


def delegated(interpreter: Any) -> set[int]:
    """Indices of the operators that a delegate runs: those between its inputs and its outputs."""
    producer = {
        int(output): node for node in operators(interpreter) for output in node["outputs"] if output >= 0
    }
    taken: set[int] = set()
    for delegate in _all_nodes(interpreter):
        if delegate["op_name"] != "DELEGATE":
            continue
        ready = set(map(int, delegate["inputs"]))
        wanted = [int(each) for each in delegate["outputs"]]
        while wanted:
            node = producer.get(wanted.pop())
            if node is not None and node["index"] not in taken:
                taken.add(node["index"])
                wanted += [int(each) for each in node["inputs"] if int(each) not in ready]
    return taken


def profiled(interpreter: Any, runs: Stat) -> list[Node]:
    """What each operator took: the whole, shared out by the size of what it gives."""
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    sizes = []
    for node in operators(interpreter):
        shapes = [details[int(each)]["shape"] for each in node["outputs"] if int(each) in details]
        sizes.append((node, 1 + sum(int(shape.prod()) for shape in shapes)))
    total = sum(size for _, size in sizes) or 1
    first = runs.runs_us[0] if runs.runs_us else 0
    nodes = []
    for position, (node, size) in enumerate(sizes):
        outputs = [details[int(each)]["name"] for each in node["outputs"] if int(each) in details]
        name = f"[{', '.join(outputs)}]:{position}"
        share = size / total
        nodes.append(Node(node["op_name"], name, first * share / 1000, runs.average * share / 1000))
    return nodes


def fill_inputs(interpreter: Any) -> None:
    """Give every input values of its type, as the tool does.

    Raises:
        ValueError, RuntimeError: the runtime does not take them.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    for each in interpreter.get_input_details():
        shape, kind = each["shape"], each["dtype"]
        if kind in (np.bytes_, np.str_, bytes, str) or np.dtype(kind).kind in "SUO":
            value = np.full(shape, b"2025", dtype=object)
        elif np.dtype(kind).kind == "f":
            value = rng.uniform(-0.5, 0.5, shape).astype(kind)
        elif np.dtype(kind).kind == "b":
            value = rng.random(shape) < 0.5
        else:
            value = rng.integers(0, 100, shape).astype(kind)
        interpreter.set_tensor(each["index"], value)

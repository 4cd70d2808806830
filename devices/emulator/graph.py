"""Looks into a model that LiteRT has loaded: its operators, their order and tensors, its inputs."""

from __future__ import annotations

from collections.abc import Set
from typing import Any


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


def order(interpreter: Any, taken: Set[int]) -> list[tuple[bool, list[dict[str, Any]]]]:
    """The operators as they run, in groups: those that a delegate took together, or the runtime's own."""
    waiting = operators(interpreter)
    produced = {int(output) for node in waiting for output in node["outputs"]}
    groups: list[tuple[bool, list[dict[str, Any]]]] = []
    delegated = bool(waiting) and waiting[0]["index"] in taken
    while waiting:
        group = []
        for node in waiting:
            ready = all(int(each) not in produced for each in node["inputs"])
            if (node["index"] in taken) == delegated and ready:
                group.append(node)
                produced -= {int(output) for output in node["outputs"]}
        if group:
            groups.append((delegated, group))
        waiting = [node for node in waiting if node not in group]
        delegated = not delegated
    return groups


class Tensors:
    """Shapes, names and types of the model's tensors."""

    def __init__(self, interpreter: Any) -> None:
        self._details = {each["index"]: each for each in interpreter.get_tensor_details()}

    def shape(self, index: int) -> tuple[int, ...]:
        """A tensor's sizes; none where the model does not tell."""
        return tuple(map(int, self._details[index]["shape"])) if index in self._details else ()

    def names(self, indices: list[int]) -> str:
        """As the tool puts them together."""
        return ", ".join(self._details[index]["name"] for index in indices if index in self._details)

    def is_int8(self, index: int) -> bool:
        """Whether a tensor is of signed bytes."""
        return index in self._details and self._details[index]["dtype"].__name__ == "int8"


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

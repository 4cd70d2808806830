"""Written models against the converter's: same weights, same outputs, bit for bit, run in the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from latency_tables.tflite import describe, read, values, write
from latency_tables.tflite.layout import FORMS
from latency_tables.tflite.records import load
from tests.latency_tables.converted import NAMES, convert

MIXED = ("conv_2d", "concatenation", "inverted bottleneck")
CASES = [
    *((name, dtype) for name in NAMES for dtype in ("float32", "int8")),
    *((name, "mixed") for name in MIXED),
]


def outputs(content: bytes, seed: int) -> list[NDArray[Any]]:
    model = Interpreter(model_content=content, num_threads=1)
    model.allocate_tensors()
    random = np.random.default_rng(seed)
    for detail in model.get_input_details():
        shape = detail["shape"]
        if detail["dtype"] == np.float32:
            model.set_tensor(detail["index"], random.normal(0, 2, shape).astype(np.float32))
        else:
            model.set_tensor(detail["index"], random.integers(-128, 128, shape, dtype=np.int8))
    model.invoke()
    return [model.get_tensor(detail["index"]) for detail in model.get_output_details()]


def delegation(content: bytes) -> tuple[int, bool]:
    """Partitions that the XNNPACK delegate took, and whether one of them is the whole network."""
    model = Interpreter(model_content=content, num_threads=1)
    model.allocate_tensors()
    taken = [operator for operator in model._get_ops_details() if operator["op_name"] == "DELEGATE"]
    ends = {detail["index"] for detail in model.get_output_details()}
    starts = {detail["index"] for detail in model.get_input_details()}
    whole = len(taken) == 1 and starts <= set(taken[0]["inputs"]) and ends == set(taken[0]["outputs"])
    return len(taken), whole


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_the_same_weights_give_the_same_outputs(name: str, dtype: str) -> None:
    converted = convert(name, dtype)
    graph = read(converted)
    written = write(graph, values(converted))
    assert read(written) == graph
    for seed in range(3):
        theirs, ours = outputs(converted, seed), outputs(written, seed)
        for expected, output in zip(theirs, ours, strict=True):
            assert output.dtype == expected.dtype
            np.testing.assert_array_equal(output, expected)
        assert any(len(np.unique(output)) > 1 for output in ours), (
            "an output that never changes proves nothing"
        )


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_the_runtime_takes_it_as_it_takes_the_converters(name: str, dtype: str) -> None:
    converted = convert(name, dtype)
    graph = read(converted)
    theirs = [(operator.kind, operator.version) for operator in load(converted)[0].operators]
    for written in (write(graph, values(converted)), write(graph, seed=1)):
        assert [(operator.kind, operator.version) for operator in load(written)[0].operators] == theirs
        assert delegation(written) == delegation(converted)
        ours, original = describe(written), describe(converted)
        assert (ours.kinds, ours.macs) == (original.kinds, original.macs)


def test_every_kind_that_can_be_written_is_compared() -> None:
    for own in ("float32", "int8"):
        cases = [(name, dtype) for name, dtype in CASES if dtype in {own, "mixed"}]
        compared = {spec.kind for case in cases for spec in read(convert(*case)).specs}
        assert compared == set(FORMS)


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_int8_are_int8_throughout(name: str) -> None:
    content = convert(name, "int8")
    assert {spec.dtype for spec in read(content).specs} == {"int8"}
    assert {detail.dtype for detail in (*describe(content).inputs, *describe(content).outputs)} == {"int8"}


def test_weights_are_quantised_per_channel() -> None:
    """The default weights have as many scales as the converter's, and they differ."""
    for name in ("conv_2d", "depthwise_conv_2d", "fully_connected"):
        content = convert(name, "int8")
        theirs, ours = values(content)[0].scales, values(write(read(content)))[0].scales
        assert theirs is not None
        assert ours is not None
        assert len(ours) == len(theirs) > len(set(ours)) > 1

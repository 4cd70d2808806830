"""What a run that gave no result is told as: real consoles, and real lines of shells, loaders and kernels."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import errors
from devices.errors import DevicesError
from devices.runners.benchmark_model import failure
from tests.devices.runners.benchmark_model.corpus import FAILURES, SAID, console


@pytest.mark.parametrize("name", FAILURES)
def test_real_consoles(name: str) -> None:
    said = SAID[name]
    for stdout, stderr in ((console(name), ""), ("", console(name))):
        found = failure(said["exit_code"], stdout, stderr)
        assert type(found) is getattr(errors, said["error"]), found
        with pytest.raises(DevicesError, match=said["says"]):
            raise found


#: exit code, what was said, the error. Lines of a kind that no public console of this tool was found for are
#: from other programs under the same shells and loaders, with where they were seen.
LINES = [
    # github.com/XiaoMi/mace/issues/56
    (
        134,
        'CANNOT LINK EXECUTABLE "/data/local/tmp/mace_run/benchmark_model_static": library '
        '"libhexagon_controller.so" not found\nAborted ',
        "LinkError",
    ),
    # github.com/tensorflow/tensorflow/issues/25018
    (
        127,
        "tensorflow/contrib/makefile/gen/bin/benchmark: error while loading shared libraries: "
        "libprotobuf.so.17: cannot open shared object file: No such file or directory",
        "LinkError",
    ),
    # github.com/termux/termux-exec-package/issues/4
    (
        1,
        'CANNOT LINK EXECUTABLE: "/data/data/com.termux/files/usr/lib/libtermux-exec.so" is 64-bit '
        "instead of 32-bit",
        "WrongAbi",
    ),
    # github.com/appknox/androidvncserver/issues/1
    (126, "/system/bin/sh: ./androidvncserver: not executable: 32-bit ELF file", "WrongAbi"),
    # dash on a board, given a program of another processor
    (2, './benchmark_model: 1: Syntax error: "(" unexpected', "WrongAbi"),
    (126, "bash: ./benchmark_model: cannot execute binary file: Exec format error", "WrongAbi"),
    # github.com/facebookarchive/caffe2/issues/1818
    (127, "/system/bin/sh: /data/local/tmp/speed_benchmark: No such file or directory", "RuntimeMissing"),
    (127, "/system/bin/sh: /data/local/tmp/benchmark_model: inaccessible or not found", "RuntimeMissing"),
    (127, "sh: 1: ./benchmark_model: not found", "RuntimeMissing"),
    (126, "/system/bin/sh: ./benchmark_model: can't execute: Permission denied", "RuntimeMissing"),
    # github.com/tensorflow/tensorflow/issues/37681
    (
        134,
        'STARTING!\nabort_message.cpp:73: abort_message: assertion "terminating with uncaught exception '
        'of type std::bad_alloc: std::bad_alloc" failed\nAborted',
        "OutOfMemory",
    ),
    (137, "STARTING!\nGraph: [m.tflite]\nKilled", "OutOfMemory"),
    (137, "", "OutOfMemory"),
    (0, "STARTING!\nKilled ", "OutOfMemory"),
    (1, "STARTING!\nERROR: Failed to write cache: No space left on device\nBenchmarking failed.", "NoSpace"),
    (124, "STARTING!\nLoaded model m.tflite", "DeadlineExceeded"),
    (139, "STARTING!\nLoaded model m.tflite\nSegmentation fault ", "WorkerCrashed"),
    (132, "STARTING!\nIllegal instruction", "WorkerCrashed"),
    (1, "STARTING!\nERROR: Encountered unresolved custom op: Foo.\nBenchmarking failed.", "ModelRejected"),
    (1, "STARTING!\nFailed to mmap model m.tflite\nBenchmarking failed.", "ModelRejected"),
    (1, "STARTING!\nBenchmarking failed.", "DeviceTrouble"),
    (0, "STARTING!\nLoaded model m.tflite", "UnreadableOutput"),
    (0, "", "UnreadableOutput"),
]


@pytest.mark.parametrize(("exit_code", "said", "error"), LINES)
def test_lines_of_shells_loaders_and_kernels(exit_code: int, said: str, error: str) -> None:
    assert type(failure(exit_code, "", said)) is getattr(errors, error)


def test_every_failure_of_the_runner_has_a_word_for_scripts() -> None:
    assert {getattr(errors, error).code for *_, error in LINES} >= {
        "WRONG_ABI",
        "LINK_ERROR",
        "RUNTIME_MISSING",
        "OUT_OF_MEMORY",
        "NO_SPACE",
        "TIMEOUT",
        "CRASH",
        "MODEL_REJECTED",
        "PARSE",
    }


def test_the_message_is_the_line_that_tells_why() -> None:
    found = failure(1, console("2021-unknown-operator-version"), "")
    assert str(found).startswith("Didn't find op for builtin opcode 'MUL' version '5'")
    assert "exit code 1" in str(found)
    found = failure(1, "STARTING!\nERROR: something new\n\nBenchmarking failed.\n", "")
    assert str(found) == "benchmark_model ended with exit code 1: something new"


SELECT = (
    "ERROR: Select TensorFlow op(s), included in the given model, is(are) not supported by this interpreter. "
    "Make sure you apply/link the Flex delegate before inference. For the Android, it can be resolved by "
    'adding "org.tensorflow:tensorflow-lite-select-tf-ops" dependency. See instructions: '
    "https://www.tensorflow.org/lite/guide/ops_select"
)
INVOKED = "ERROR: Node number 3 (GATHER) failed to invoke."
NOT_BY_XNNPACK = (
    "INFO: Though XNNPACK delegate is explicitly applied, "
    "the model graph will not be executed by the delegate."
)


@pytest.mark.parametrize(
    ("said", "error", "says"),
    [
        (
            f"{SELECT}\nERROR: Node number 0 (FlexMatrixInverse) failed to prepare.\n"
            "Failed to allocate tensors!",
            "ModelRejected",
            "Select TensorFlow op(s), included in the given model",
        ),
        (
            f"ERROR: {'x' * 400} {SELECT}\nFailed to allocate tensors!",
            "ModelRejected",
            "is(are) not supported",
        ),
        (f"{INVOKED}\nFailed to invoke!", "ModelRejected", "Node number 3 (GATHER) failed to invoke."),
        (
            f"ERROR: tensorflow/lite/kernels/gather.cc:158 gather index out of bounds\n{INVOKED}\n",
            "ModelRejected",
            "gather index out of bounds; Node number 3 (GATHER) failed to invoke.",
        ),
        (f"Failed to allocate tensors!\n{INVOKED}", "ModelRejected", "Node number 3"),
        (f"{NOT_BY_XNNPACK}\n{INVOKED}\nFailed to invoke!", "ModelRejected", "Node number 3"),
        (
            "ERROR: Node number 3 (TfLiteGpuDelegateV2) failed to invoke.",
            "DelegateFallback",
            "TfLiteGpuDelegateV2",
        ),
        (
            'Unable to load external delegate from : dlopen failed: library "/w/libx.so" not found\n'
            "Failed to create the EXTERNAL delegate.\nFailed to apply EXTERNAL delegate.",
            "DelegateFallback",
            'dlopen failed: library "/w/libx.so" not found',
        ),
        (
            f"{NOT_BY_XNNPACK.replace('XNNPACK', 'GPU')}",
            "DelegateFallback",
            "by the delegate; it took no node (0 %)",
        ),
    ],
)
def test_the_line_that_tells_the_reason_is_found(said: str, error: str, says: str) -> None:
    found = failure(1, f"STARTING!\n{said}\nBenchmarking failed.\n", "")
    assert type(found) is getattr(errors, error)
    assert says in str(found)
    assert "exit code 1" in str(found)
    taken = 0 if "took no node" in says else None
    assert getattr(found, "delegated_operators", None) == taken


def test_long_lines_are_searched_in_little_time() -> None:
    began = time.process_time()
    for words in ("identifier ", "Failed to load ", "Select TensorFlow op(s)", "Though GPU delegate "):
        failure(1, "STARTING!\n" + (words * 1000 + "\n") * 100, "")
    assert time.process_time() - began < 10


def test_a_model_whose_names_speak_of_trouble_is_not_in_trouble_for_them() -> None:
    said = "STARTING!\nGraph: [not found]\nLoaded model not found\nBenchmarking failed.\n"
    assert type(failure(1, said, "")) is errors.DeviceTrouble


@given(st.integers(0, 255), st.text(), st.text() | st.sampled_from([console(name) for name in FAILURES]))
def test_any_end_is_one_error_without_escapes(exit_code: int, stdout: str, stderr: str) -> None:
    found = failure(exit_code, stdout, stderr)
    assert isinstance(found, DevicesError)
    assert str(found)
    assert not set(str(found)) & {"\x1b", "\x00", "\x9b", "\n"}
    assert len(str(found)) < 1000


def test_an_endless_output_is_told_by_its_ends() -> None:
    endless = "STARTING!\n" + "ERROR: nothing new\n" * 2_000_000 + "ERROR: No space left on device\n"
    assert type(failure(1, endless, "")) is errors.NoSpace

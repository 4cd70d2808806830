"""Runs on a board, by any Python 3: says what Python it is, or whether its TFLite runtime really works.

Knows nothing of how it got there, and keeps to the syntax of Python 3.6, so that old boards can say what they
are. With the argument `check` it runs a model of one operator, for a runtime that was built for another C
library or another NumPy fails no earlier. Prints one line of JSON after a mark.
"""

import base64
import json
import os
import platform
import struct
import sys
import zlib

MARK = "mnas-board "
#: RELU of four numbers
MODEL = """
eNoTYGBgCHHzMWaAgjX///9nBtI6QKwAxAJAzALEjCA+I4Sdm5dYzAAVM4HSIHU8QMgCNoUDyGJgEIZiPgYJoDhITIBBBKpWA4hr
oPaIQO0Am52YmQczWwWImYC4BMkeEOYCmw4ykQHMQnYjDIPAHaBfQsCugYixAXFefkpqvAFCjRhQN8zNMAAyUwKKYXrZgTgzr6C0
BKgZ3S6I21nANABuxRWG
"""


def describe() -> "dict[str, object]":
    """What Python this is."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        libc = None
    return {
        "python": sys.executable,
        "version": list(sys.version_info[:3]),
        "machine": platform.machine(),
        "bits": 8 * struct.calcsize("P"),
        "libc": libc,
        "venv": _can_import("venv"),
        "ensurepip": _can_import("ensurepip"),
        "numpy": _can_import("numpy"),
    }


def check() -> "dict[str, object]":
    """Run a model; whatever is wrong with the runtime is raised."""
    import numpy as np

    try:
        from ai_edge_litert import interpreter as tflite

        runtime = "ai-edge-litert"
    except ImportError as first:
        try:
            from tflite_runtime import interpreter as tflite
        except ImportError:
            raise first from None
        runtime = "tflite-runtime"
    interpreter = tflite.Interpreter(model_content=zlib.decompress(base64.b64decode(MODEL)), num_threads=1)
    interpreter.allocate_tensors()
    given = np.array([-1, 0, 1, 2], dtype=np.float32).reshape(1, 1, 1, 4)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel().tolist()
    if got != [0.0, 0.0, 1.0, 2.0]:
        raise RuntimeError("it computes wrongly: " + str(got))
    return {
        "python": sys.executable,
        "version": list(sys.version_info[:3]),
        "runtime": runtime,
        "runtime_version": _version(runtime),
        "numpy_version": np.__version__,
    }


def _can_import(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def main() -> None:
    """Print the answer on a line of its own: the runtime prints as well."""
    answer = check() if "check" in sys.argv[1:] else describe()
    sys.stdout.write("\n" + MARK + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()

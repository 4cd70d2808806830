"""The card that goes with an exported model: what it is, takes and was measured at. Writes no files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mnas.architecture import Architecture
from mnas.data import PIXEL_OFFSET, PIXEL_SCALE
from mnas.finalists.ledger import Quantisation
from mnas.reports.summary import Network
from mnas.reports.summary_json import network_json

SCHEMA = 1


def card(
    one: Network,
    *,
    dataset: str,
    labels: Sequence[str],
    test_images: int | None,
    training: Mapping[str, Any] | None,
    file: str,
    card_file: str,
) -> dict[str, Any]:
    """The JSON document beside a model.

    Args:
        file: the model's file name, as the example opens it.
        card_file: the card's own file name.
    """
    model, final = one.final.model, one.final
    architecture = Architecture.parse(final.architecture)
    measured = network_json(one)
    return {
        "schema": SCHEMA,
        "name": final.name,
        "role": final.role,
        "trial": final.trial,
        "file": file,
        "sha256": model.sha256,
        "model_bytes": model.model_bytes,
        "dtype": final.dtype,
        "architecture": final.architecture,
        "parameters": one.parameters,
        "macs": one.macs,
        "input": {
            "shape": [1, architecture.height, architecture.width, architecture.channels],
            "dtype": final.dtype,
            "layout": "NHWC",
            "channel_order": "RGB" if architecture.channels == 3 else "grey",
            "resize": "bilinear (Pillow)",
            "scaling": "pixel / 127.5 - 1, pixels from 0 to 255",
            "pixel_scale": PIXEL_SCALE,
            "pixel_offset": PIXEL_OFFSET,
            "quantisation": _quantisation(model.source),
        },
        "output": {
            "shape": [1, architecture.classes],
            "dtype": final.dtype,
            "meaning": "logits, one per label: the largest is the answer, softmax gives probabilities",
            "quantisation": _quantisation(model.target),
        },
        "labels": list(labels),
        "dataset": dataset,
        "accuracy": {
            "split": "test",
            "images": test_images,
            "this_file": final.accuracies[0] if final.accuracies else None,
            **{name: measured[key] for name, key in _ACCURACY.items()},
        },
        "seed": final.seeds[0],
        "training": None if training is None else dict(training),
        "latency": measured["latency"],
        "predicted_ms": model.predicted_ms,
        "predicted_low_ms": model.predicted_low_ms,
        "predicted_high_ms": model.predicted_high_ms,
        "prediction_error_percent": measured["prediction_error_percent"],
        "versions": {**final.versions, **_runtime(one)},
        "example": example(architecture, model.source, file, card_file).splitlines(),
    }


_ACCURACY = {
    "mean": "accuracy",
    "low": "accuracy_low",
    "high": "accuracy_high",
    "per_seed": "accuracies",
    "seeds": "seeds",
}


def example(architecture: Architecture, source: Quantisation | None, file: str, card_file: str) -> str:
    """Ten lines of Python that name what `image.png` shows; they need NumPy, Pillow and a TFLite runtime."""
    height, width, channels = architecture.height, architecture.width, architecture.channels
    mode = "RGB" if channels == 3 else "L"
    tensor = "values"
    if source is not None:
        integers = f"np.round(values / {source.scale!r}) + {source.zero_point}"
        tensor = f"({integers}).clip(-128, 127).astype(np.int8)"
    return f"""\
import json, numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter  # on a small board: from tflite_runtime.interpreter
network = Interpreter({json.dumps(file)})
network.allocate_tensors()
image = Image.open("image.png").convert("{mode}").resize(({width}, {height}), Image.Resampling.BILINEAR)
values = np.asarray(image, np.float32).reshape(1, {height}, {width}, {channels}) / 127.5 - 1
network.set_tensor(network.get_input_details()[0]["index"], {tensor})
network.invoke()
print(json.load(open({json.dumps(card_file)}))["labels"][{_LOGITS}.argmax()])
"""


_LOGITS = 'network.get_tensor(network.get_output_details()[0]["index"])'


def _quantisation(tensor: Quantisation | None) -> dict[str, Any] | None:
    return None if tensor is None else {"formula": "(integer - zero_point) * scale", **asdict(tensor)}


def _runtime(one: Network) -> dict[str, str]:
    measured = one.final.measurement
    if measured is None:
        return {}
    facts = measured.context.facts
    return {"measured_with": f"{facts.runtime} {facts.runtime_version}"}

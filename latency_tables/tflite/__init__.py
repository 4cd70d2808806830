"""TFLite files: read into graphs of operators, described, written without a converter. Measures nothing."""

from latency_tables.tflite.describe import Description, TensorInfo, describe
from latency_tables.tflite.reader import read
from latency_tables.tflite.values import NodeValues, Quantisation, values
from latency_tables.tflite.writer import single, write

__all__ = [
    "Description",
    "NodeValues",
    "Quantisation",
    "TensorInfo",
    "describe",
    "read",
    "single",
    "values",
    "write",
]

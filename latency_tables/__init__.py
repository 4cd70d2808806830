"""One device's per-operator latencies: operators, tables, predictions. Knows nothing of training."""

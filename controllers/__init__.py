"""Search strategies, each an Optuna sampler. Knows nothing of devices, tables or networks."""

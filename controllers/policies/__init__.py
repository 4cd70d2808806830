"""Distributions over points that learn by gradients; one module per policy."""

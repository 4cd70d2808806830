"""Reach a device and measure model files on it. Knows nothing of networks, tables or search."""

"""What measures on a device: one module per runner."""

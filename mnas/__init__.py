"""Search spaces, networks, training, search and reports: joins devices, latency tables and controllers."""

__version__ = "0.1.0"

"""Which rows of a runtime's profile are which operators of a network."""

"""Search spaces: choices and how they decode to an architecture; one module per space, and their registry."""

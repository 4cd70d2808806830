"""Search spaces: choices and how they decode to an architecture; one module per space, and their registry."""

from mnas.spaces.base import Choice, Space, StagedSpace
from mnas.spaces.operators import operators
from mnas.spaces.registry import create, names
from mnas.spaces.sampling import sample, size

__all__ = ["Choice", "Space", "StagedSpace", "create", "names", "operators", "sample", "size"]

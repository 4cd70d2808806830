"""A flatbuffer builder that the generated schema code can drive, much faster than the library's own.

Knows the flatbuffer encoding and nothing of TFLite. The file is built from its end, as the format's own
builders do, but out of ready-made pieces that are joined once: a buffer of weights is copied a single time.
Every scalar takes four bytes, so all tables align alike.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_PACKERS = [struct.Struct(f"<i{n}I") for n in range(16)]
_MASK = 0xFFFFFFFF


class Builder:
    """What the generated `XStart`, `XAddField`, `XEnd` functions call; positions count from the end."""

    def __init__(self) -> None:
        self._pieces: list[bytes | memoryview] = []
        self._size = 0
        self._vtables: dict[tuple[int, ...], int] = {}
        self._slots: list[int] = []
        self._values: list[int] = []
        self._references: list[int] = []

    def _push(self, piece: bytes) -> int:
        self._pieces.append(piece)
        self._size += len(piece)
        return self._size

    def _pad(self, length: int, alignment: int) -> None:
        """Make the piece of `length` bytes that is pushed next begin at a multiple of `alignment`."""
        gap = -(self._size + length) % alignment
        if gap:
            self._push(bytes(gap))

    def ints(self, values: Sequence[int]) -> int:
        """A vector of int32."""
        return self._push(struct.pack(f"<I{len(values)}i", len(values), *values))

    def packed(self, data: bytes, count: int, alignment: int) -> int:
        """A vector of `count` elements from their bytes, the first of them aligned."""
        return self.blob((memoryview(data),), count, alignment)

    def blob(self, parts: Sequence[memoryview], count: int | None = None, alignment: int = 16) -> int:
        """A vector of bytes joined from `parts`, which must not change before `finish`."""
        length = sum(part.nbytes for part in parts)
        self._pad(length, alignment)
        self._pieces.extend(reversed(parts))
        self._size += length
        return self._push(struct.pack("<I", length if count is None else count))

    def text(self, text: str) -> int:
        """A string."""
        raw = text.encode()
        piece = struct.pack("<I", len(raw)) + raw + b"\0"
        return self._push(piece + bytes(-len(piece) % 4))

    def offsets(self, targets: Sequence[int]) -> int:
        """A vector of tables."""
        first = self._size + 4 * len(targets)
        distances = [first - 4 * index - target for index, target in enumerate(targets)]
        return self._push(struct.pack(f"<{len(targets) + 1}I", len(targets), *distances))

    def start(self, _fields: int) -> None:
        """Begin a table."""
        self._slots, self._values, self._references = [], [], []

    def reference(self, slot: int, target: int, default: int) -> None:
        """A field that points to a vector, a string or a table."""
        if target != default:
            self._references.append(len(self._slots))
            self._slots.append(slot)
            self._values.append(target)

    def scalar(self, slot: int, value: int, default: int) -> None:
        """A field of an integer or boolean type."""
        if value != default:
            self._slots.append(slot)
            self._values.append(int(value) & _MASK)

    def real(self, slot: int, value: float, default: float) -> None:
        """A field of type float32."""
        if value != default:
            self._slots.append(slot)
            self._values.append(int.from_bytes(struct.pack("<f", value), "little"))

    def end(self) -> int:
        """Finish the table; returns its position."""
        values, slots = self._values, tuple(self._slots)
        position = self._size + 4 + 4 * len(values)
        for index in self._references:
            values[index] = position - 4 - 4 * index - values[index]
        shared = self._vtables.get(slots)
        if shared is not None:
            return self._push(_PACKERS[len(values)].pack(shared - position, *values))
        table = [0] * (1 + max(slots, default=-1))
        for index, slot in enumerate(slots):
            table[slot] = 4 + 4 * index
        vtable = struct.pack(f"<{2 + len(table)}H", 4 + 2 * len(table), 4 + 4 * len(values), *table)
        filler = bytes(-len(vtable) % 4)
        begin = position + len(filler) + len(vtable)
        self._push(_PACKERS[len(values)].pack(begin - position, *values))
        if filler:
            self._push(filler)
        self._vtables[slots] = self._push(vtable)
        return position

    def finish(self, root: int, identifier: bytes) -> bytes:
        """The file, with `root` as its root table."""
        self._pad(8, 16)
        self._push(struct.pack("<I", self._size + 8 - root) + identifier)
        return b"".join(reversed(self._pieces))

    # the names by which the generated code knows them
    StartObject = start
    EndObject = end
    PrependUOffsetTRelativeSlot = reference
    PrependBoolSlot = scalar
    PrependInt8Slot = scalar
    PrependUint8Slot = scalar
    PrependInt32Slot = scalar
    PrependUint32Slot = scalar
    PrependFloat32Slot = real

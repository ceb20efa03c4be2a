"""Protobuf's numbers, as they should be and longer than that."""

from __future__ import annotations


def varint(value: int, padding: int = 0) -> bytes:
    """Return a number, with so many bytes more than it needs."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    for _ in range(padding):
        made[-1] |= 0x80
        made.append(0)
    return bytes(made)

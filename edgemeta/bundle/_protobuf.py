"""Reading protobuf's wire format strictly: what two readers could take for two things is refused.

Protobuf itself skips fields that it does not know, merges a message that comes twice and keeps the
last of two numbers. A reader that judges a file before another one uses it must not guess which of
these the other one does. So this reader is ours, and a device needs no protobuf package either.
Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_WIDTH = {FIXED64: 8, FIXED32: 4}
SKIPPED = -1

Field = tuple[int, int, int]
"""A field of a message: its number, where its content begins in the data, where it ends."""


def message(
    once: Mapping[int, int], many: Mapping[int, int], skipped: Iterable[int] = ()
) -> dict[int, int]:
    """Describe a message.

    Args:
        once: the wire type of each field that may come once, by field number.
        many: that of each field that may be repeated; numbers may also be packed.
        skipped: field numbers of BYTES that may be repeated and are of no interest.

    Returns:
        What `ProtobufReader.fields` takes: by tag, as it stands in front of a field, a bit of its
        own for a field that may come once, 0 for one that may be repeated, SKIPPED for one of no
        interest.
    """
    kinds = {number << 3 | wire_type: 1 << number for number, wire_type in once.items()}
    for number, wire_type in many.items():
        kinds |= {number << 3 | wire_type: 0, number << 3 | BYTES: 0}
    return kinds | {number << 3 | BYTES: SKIPPED for number in skipped}


class ProtobufReader:
    """Reads bytes in wire format.

    Args:
        data: the bytes.
        most_fields: how many fields may be read in all, which bounds the time.
    """

    def __init__(self, data: bytes, most_fields: int) -> None:
        self.data = data
        self._left = most_fields

    def fields(self, start: int, end: int, kinds: Mapping[int, int]) -> list[Field]:
        """Read one message.

        Args:
            start: where it begins.
            end: where it ends.
            kinds: what it may have, as `message` describes it.

        Returns:
            Its fields in order, but for those of no interest.

        Raises:
            ValueError: it is cut short, or has a field of another number or wire type, or one twice
                that may come once, or there are too many fields.
        """
        # One call for each of thousands of nodes: a byte is looked at where most numbers have one.
        data, at, left, seen = self.data, start, self._left, 0
        found: list[Field] = []
        try:
            while at < end:
                left -= 1
                tag = data[at]
                at += 1
                if tag > 0x7F:
                    tag, at = self.varint(at - 1)
                once = kinds.get(tag)
                if once is None or left < 0:
                    raise ValueError("an unknown field" if once is None else "too many fields")
                if once > 0:
                    if seen & once:
                        raise ValueError(f"field {tag >> 3} twice")
                    seen |= once
                begin, wire_type = at, tag & 7
                if wire_type == BYTES:
                    size = data[at]
                    begin = at + 1
                    if size > 0x7F:
                        size, begin = self.varint(at)
                    at = begin + size
                elif wire_type == VARINT:
                    _, at = self.varint(at)
                else:
                    at += FIXED_WIDTH[wire_type]
                if once != SKIPPED:
                    found.append((tag >> 3, begin, at))
        except IndexError:
            at = end + 1
        if at > end:
            raise ValueError("a message that is cut short")
        self._left = left
        return found

    def varint(self, at: int) -> tuple[int, int]:
        """Read an unsigned integer.

        Returns:
            The integer, and where it ends.

        Raises:
            IndexError: it is cut short.
            ValueError: it is larger than 64 bits, or longer than it has to be.
        """
        value = shift = 0
        while (byte := self.data[at]) > 0x7F:
            value |= (byte & 0x7F) << shift
            at += 1
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
        value |= byte << shift
        if value >> 64:
            raise ValueError("a number of more than 64 bits")
        if shift and not byte:
            raise ValueError("a number with more bytes than it needs")
        return value, at + 1

    def integers(self, field: Field, most: int) -> list[int]:
        """Return the unsigned integers of a field: one, or those that are packed into it.

        Raises:
            ValueError: there are more than `most`, or one is too large.
        """
        found, (_, at, end) = [], field
        try:
            while at < end:
                value, at = self.varint(at)
                found.append(value)
                if at > end or len(found) > most:
                    raise ValueError(f"more than {most} numbers, or one that is cut short")
        except IndexError as error:
            raise ValueError("a number that is cut short") from error
        return found

    def text(self, field: Field) -> str:
        """Return a string.

        Raises:
            ValueError: it is not UTF-8.
        """
        return self.data[field[1] : field[2]].decode()

"""Payloads of progressive files: parts one after the other, of which a decoder needs the first ones only.

Each part is a stream of its own behind its length (unsigned LEB128).
"""

from __future__ import annotations

from collections.abc import Sequence

from calotype.errors import FormatError


def join(parts: Sequence[bytes]) -> bytes:
    """The payload of some parts."""
    return b"".join(_length(len(part)) + part for part in parts)


def split(payload: bytes | memoryview, *, cut: bool = False) -> list[memoryview]:
    """The parts of a payload; with ``cut``, of the beginning of one, without the part that it ends in.

    Raises:
        FormatError: for a part that is not whole (unless ``cut``), or when there is none.
    """
    view, parts, position = memoryview(payload), list[memoryview](), 0
    while position < len(view):
        found = _read_length(view, position)
        if found is None or found[0] + found[1] > len(view):
            if not cut:
                raise FormatError(f"latents: part {len(parts) + 1} is not whole; the file is damaged")
            break
        start, size = found
        parts.append(view[start : start + size])
        position = start + size
    if not parts:
        raise FormatError("latents: the file ends before its first part is whole")
    return parts


def _length(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def _read_length(view: memoryview, position: int) -> tuple[int, int] | None:
    """(where the part begins, its bytes), or None where the number itself is not whole."""
    n = 0
    for k, byte in enumerate(view[position : position + 5]):
        n |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return position + k + 1, n
    return None

"""The boxes of AVIF and HEIC files (ISO/IEC 14496-12 and 23008-12): what they say of the primary picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Box = tuple[bytes, bytes]


def is_heif(head: bytes) -> bool:
    """Whether a file that begins like this is made of boxes."""
    return head[4:8] == b"ftyp"


def brands(head: bytes) -> tuple[bytes, ...]:
    """The kinds that a file says it is of."""
    size = int.from_bytes(head[:4], "big") if is_heif(head) else 0
    return tuple(head[k : k + 4] for k in (8, *range(16, min(size, len(head)), 4)))


def primary(head: bytes) -> list[Box]:
    """The properties of the primary picture, such as (b"colr", payload); none if they cannot be read."""
    try:
        meta = dict(_boxes(dict(_boxes(head))[b"meta"][4:]))
        item = int.from_bytes(meta[b"pitm"][4:], "big")
        parts = dict(_boxes(meta[b"iprp"]))
        properties = list(_boxes(parts[b"ipco"]))
        chosen = _associations(parts[b"ipma"])[item]
        return [properties[number - 1] for number in chosen if 0 < number <= len(properties)]
    except (KeyError, IndexError, struct.error):
        return []


def _boxes(data: bytes) -> Iterator[Box]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        lead = 8
        if size == 1 and at + 16 <= len(data):
            size, lead = struct.unpack(">Q", data[at + 8 : at + 16])[0], 16
        end = len(data) if size == 0 else at + size
        if size != 0 and size < lead:
            return
        yield kind, data[at + lead : end]
        at = end


def _associations(ipma: bytes) -> dict[int, list[int]]:
    """Numbers of properties, from 1, for each item."""
    version, wide = ipma[0], ipma[3] & 1
    found, at = dict[int, list[int]](), 8
    for _ in range(struct.unpack(">I", ipma[4:8])[0]):
        form, size = (">H", 2) if version < 1 else (">I", 4)
        item = struct.unpack(form, ipma[at : at + size])[0]
        count, at = ipma[at + size], at + size + 1
        step = 2 if wide else 1
        entries = [int.from_bytes(ipma[k : k + step], "big") for k in range(at, at + step * count, step)]
        found[item] = [entry & (0x7FFF if wide else 0x7F) for entry in entries]
        at += step * count
        if at > len(ipma):
            break
    return found

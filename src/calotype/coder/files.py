"""Whole files to pixels: the native decoder, which is also libcalotype (docs/library.md).

It works without the GIL, on as many threads as it is told, and writes into memory that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from calotype.coder.native import load
from calotype.errors import FormatError

if TYPE_CHECKING:
    import calotype._rans as _rans
    from calotype.coder.stream import Bytes


def open_pack(
    manifest: bytes, tables: bytes, networks: bytes, *, installed: bool = False, threads: int = 1
) -> _rans.Pack:
    """A pack from the bytes of its three files, plain or compressed by gzip.

    installed: it came with this code: hashes are the caller's to check, and one of the tests is made instead
               of all. Sizes and bounds are checked all the same.
    threads:   more than one takes two

    Raises ValueError that says what is wrong.
    """
    found: _rans.Pack = load().Pack(manifest, tables, networks, installed, threads)
    return found


def decode_file(
    data: Bytes,
    pack: _rans.Pack | None,
    box: tuple[int, int, int, int],
    out: memoryview,
    *,
    preview: bool,
    threads: int,
    keep: bool,
) -> tuple[tuple[int, ...], FormatError | None]:
    """Decode a file that `parse` accepts.

    pack:    may be None for a picture of pixels alone
    box:     (left, top, right, bottom) of the picture or, if ``preview``, of the picture at an eighth
    out:     bytes of shape [height, width, channels]: 3 channels, 1 of a grey picture, and one more for alpha
    keep:    fill damaged tiles with a plain grey

    Returns the damaged tiles and the first thing wrong. Raises FormatError.
    """
    native = load()
    try:
        failed, text = native.decode(data, pack, box, preview, threads, keep, out)
    except native.FileError as error:
        raise _named(str(error)) from None
    return tuple(failed), _named(text) if text else None


def png(pixels: memoryview, threads: int = 1) -> bytes:
    """A photograph, bytes of shape [height, width, channels], as a PNG file: made quickly. The bytes are the
    same with any number of threads.
    """
    found: bytes = load().png(pixels, threads)
    return found


def _named(text: str) -> FormatError:
    """The error with the part of the file that it names, if it names one."""
    import re  # late: most files have no error

    found = re.fullmatch(r"(tile \d+|alpha): (.*)", text, re.DOTALL)
    return FormatError(found[2], field=found[1]) if found else FormatError(text)

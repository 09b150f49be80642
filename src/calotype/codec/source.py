"""The file that a Pillow image was read from.

Pillow keeps most of what a file says, but not all: some colour tags, the number of bits per channel. While
the image can still reach its file, these are read from there. Images that were made or changed in memory
have no file; then only what Pillow kept is known.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from PIL import Image

#: Most bytes that are read of the head of a file.
HEAD = 1 << 20


@contextlib.contextmanager
def stream(image: Image.Image, magic: bytes = b"") -> Iterator[IO[bytes] | None]:
    """The file of an image, at its start; None when it is out of reach or does not begin with ``magic``.

    The place in the file is as it was when the block ends."""
    with contextlib.ExitStack() as stack:
        yield next(filter(None, (_usable(candidate, magic, stack) for candidate in _candidates(image))), None)


def head(image: Image.Image, magic: bytes = b"") -> bytes:
    """The first :data:`HEAD` bytes of the file of an image; empty when it is out of reach."""
    with stream(image, magic) as file:
        return b"" if file is None else file.read(HEAD)


def whole(image: Image.Image) -> bytes | None:
    """All bytes of the file of an image; None when it is out of reach."""
    with stream(image) as file:
        return None if file is None else file.read()


def _candidates(image: Image.Image) -> Iterator[Any]:
    # Pillow sets fp to None when the pixels are loaded; some readers keep the file in _fp.
    yield getattr(image, "fp", None)
    yield getattr(image, "_fp", None)
    yield getattr(image, "filename", None)


def _usable(candidate: Any, magic: bytes, stack: contextlib.ExitStack) -> IO[bytes] | None:
    try:
        if isinstance(candidate, (str, bytes)) and candidate:
            file: IO[bytes] = Path(os.fsdecode(candidate)).open("rb")  # noqa: SIM115 (the stack closes it)
            stack.callback(file.close)
        elif hasattr(candidate, "seek") and hasattr(candidate, "read"):
            file = candidate
            stack.callback(_restore, file, file.tell())
        else:
            return None
        file.seek(0)
        known = file.read(len(magic)) == magic
        file.seek(0)
        return file if known else None
    except (OSError, ValueError):  # gone, closed, or a pipe
        return None


def _restore(file: IO[bytes], place: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        file.seek(place)

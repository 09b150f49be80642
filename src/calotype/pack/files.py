"""The files of a pack, as they lie in a folder or a zip file. All decoders need them: little is imported."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

NAME = "manifest.json"
TABLES = "tables.safetensors"
PACKED, GZIP = ".gz", b"\x1f\x8b"
"""Behind the name of a file in a folder that is stored compressed, and what such a file begins with."""
NETWORKS = "networks.safetensors"
"""The decoder's networks."""
ENCODER = "encoder.safetensors"
"""An encoder's."""
DECODING = (NETWORKS, TABLES)
"""What a decoder reads, and what the id is made of: an encoder's networks may change without another id."""
FILES = (*DECODING, ENCODER)
"""What a pack has beside the manifest."""

MAX_BYTES = 1 << 28
"""No file of a pack is larger, stored or unpacked."""
PART = 1 << 18
"""Bytes that are read at once, so that hardly more than MAX_BYTES are ever unpacked."""


def identity(hashes: Mapping[str, str]) -> str:
    """The id of a pack whose files have these SHA-256 (by name, in hexadecimal): 64 hexadecimal digits."""
    import hashlib  # late: it takes as long as a tenth of a small picture's decode

    listing = "".join(f"{name} {hashes[name]}\n" for name in DECODING)
    return hashlib.sha256(listing.encode()).hexdigest()


def stored(folder: Path, name: str) -> Path:
    """The file `name` of a pack in a folder, compressed if it is so there."""
    packed = folder / f"{name}{PACKED}"
    return packed if packed.is_file() and not (folder / name).is_file() else folder / name


def read(path: Path, name: str, *, unpack: bool = True) -> bytes:
    """The file `name` of the pack at `path`, a folder or a zip file.

    unpack: give its content; otherwise what is stored may be compressed by gzip

    Raises KeyError for a file that a zip does not have, and OSError for all else that is wrong with one.
    """
    if path.is_dir():
        found = stored(path, name)
        with found.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise OSError(f"{found.name} has more than 2^28 bytes")
            data = file.read()
        return _plain(found.name, data) if unpack else data
    import zipfile  # late: packs are folders, as a rule

    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                packed = name + PACKED
                entry = packed if packed in archive.namelist() else name
                if archive.getinfo(entry).compress_type == zipfile.ZIP_BZIP2:  # a few bytes can be gigabytes
                    raise OSError(f"{entry} is compressed by bzip2: packs are by deflate or LZMA")
                with archive.open(entry) as part:
                    data = _limited(entry, part.read)
        except (OSError, KeyError):
            raise
        # Damage comes as BadZipFile, zlib.error, LZMAError, EOFError, struct.error, ValueError or
        # OverflowError, and encryption as RuntimeError: each part of zipfile has its own.
        except Exception as error:
            raise OSError(str(error) or type(error).__name__) from error
    return _plain(entry, data)


def _plain(name: str, data: bytes) -> bytes:
    if not name.endswith(PACKED):
        return data
    import gzip  # late, as the native decoder unpacks by itself

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return _limited(name, file.read)
    except (EOFError, zlib.error) as error:
        raise OSError(f"{name}: {error}") from error


def _limited(name: str, read: Callable[[int], bytes]) -> bytes:
    """All that `read` gives, part by part. Raises OSError where that is more than MAX_BYTES."""
    found = bytearray()
    while part := read(PART):
        found += part
        if len(found) > MAX_BYTES:
            raise OSError(f"{name} has more than 2^28 bytes")
    return bytes(found)

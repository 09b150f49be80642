"""The files of a pack, as they lie in a folder or a zip file. All decoders need them: little is imported."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from calotype.codec.threads import default_threads
from calotype.coder.files import open_pack
from calotype.errors import PackError

if TYPE_CHECKING:
    import calotype._rans as _rans

NAME = "manifest.json"
TABLES = "tables.safetensors"
PACKED, GZIP = ".gz", b"\x1f\x8b"
"""Behind the name of a file in a folder that is stored compressed, and what such a file begins with."""
NETWORKS = "networks.safetensors"
"""The decoder's networks."""
ENCODER = "encoder.safetensors"
"""An encoder's."""

MAX_BYTES = 1 << 28
"""No file of a pack is larger, stored or unpacked."""
PART = 1 << 18
"""Bytes that are read at once, so that hardly more than MAX_BYTES are ever unpacked."""
STEPS = 256
"""Levels from one trained level to the next."""


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


def open_native(path: Path, *, installed: bool = False) -> _rans.Pack:
    """The decoder of whole files for the pack at a path; `installed` as in calotype.coder.files.

    Raises PackError.
    """
    parts = []
    for name in (NAME, TABLES, NETWORKS):
        try:
            parts.append(read(path, name, unpack=False))
        except (OSError, KeyError) as error:
            raise PackError(f"pack {path}: {name} cannot be read: {error}") from error
    try:
        pack = open_pack(*parts, installed=installed, threads=default_threads())
        if installed:
            _check(*parts)
        return pack
    except ValueError as error:
        raise PackError(f"pack {path}: {str(error).removeprefix('pack: ')}") from error


def _check(manifest: bytes, tables: bytes, networks: bytes) -> None:
    """Whether the files lie as they were installed: a byte gone wrong would be wrong pixels. `hashlib` is
    several times as fast as the native decoder's own.

    Raises ValueError if they do not.
    """
    plain = [(name, data) for name, data in ((TABLES, tables), (NETWORKS, networks)) if data[:2] != GZIP]
    if not plain:
        return  # a compressed file has a checksum of its own, which unpacking has looked at
    import hashlib  # late: its import takes as long as a tenth of a small picture's decode

    hashes = json.loads(manifest)["files"]
    for name, data in plain:
        if hashlib.sha256(data).hexdigest() != hashes[name]:
            raise ValueError(f"{name} is damaged: install calotype anew")

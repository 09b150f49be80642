"""The native decoder of whole files for a pack, from a path. All decoders need it: little is imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from calotype.codec.threads import default_threads
from calotype.coder.files import open_pack
from calotype.errors import PackError
from calotype.pack import files

if TYPE_CHECKING:
    import calotype._rans as _rans


def open_native(path: Path, *, installed: bool = False) -> _rans.Pack:
    """The decoder of whole files for the pack at a path; `installed` as in calotype.coder.files.

    Raises PackError.
    """
    parts = []
    for name in (files.NAME, files.TABLES, files.NETWORKS):
        try:
            parts.append(files.read(path, name, unpack=False))
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
    plain = [
        (name, data)
        for name, data in ((files.TABLES, tables), (files.NETWORKS, networks))
        if data[:2] != files.GZIP
    ]
    if not plain:
        return  # a compressed file has a checksum of its own, which unpacking has looked at
    import hashlib  # late: its import takes as long as a tenth of a small picture's decode

    hashes = json.loads(manifest)["files"]
    for name, data in plain:
        if hashlib.sha256(data).hexdigest() != hashes[name]:
            raise ValueError(f"{name} is damaged: install calotype anew")

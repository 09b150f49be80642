"""The folder of a pack: arrays, and a manifest with what they hash to."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calotype.pack.files import NAME, PACKED, identity


def check_target(folder: Path) -> None:
    """Refuse to replace what is not a pack.

    Raises:
        ValueError: when ``folder`` is there and is none.
    """
    if folder.exists() and not (folder / NAME).is_file():
        raise ValueError(f"{folder}: is there and is not a pack; give another name")


def publish(
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    fields: Mapping[str, Any],
    folder: Path,
) -> str:
    """Write a pack and return its id.  ``folder`` appears whole or not at all; an existing pack is replaced.

    arrays: by name of the file and of the array
    fields: of the manifest, but for ``id`` and ``files``, which follow from the contents
    """
    from safetensors.numpy import save

    contents = {
        f"{file}.safetensors": save({k: np.ascontiguousarray(v) for k, v in held.items()})
        for file, held in arrays.items()
    }
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()}
    found = identity(hashes)
    whole = {**fields, "id": found, "files": hashes}
    stored = {f"{file}{PACKED}": _compressed(data) for file, data in contents.items()}
    stored[NAME] = (json.dumps(whole, indent=1) + "\n").encode()
    _replace(stored, folder)
    return found


def _compressed(data: bytes) -> bytes:
    """As gzip. Weights hardly repeat: without short matches they are smaller, and faster to inflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return packer.compress(data) + packer.flush()


def _replace(contents: Mapping[str, bytes], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=folder.name + "-", dir=folder.parent))
    try:
        for file, data in contents.items():
            (temporary / file).write_bytes(data)
        temporary.chmod(0o755)
        if folder.exists():
            old = temporary.with_name(temporary.name + "-old")
            folder.replace(old)
            temporary.replace(folder)
            shutil.rmtree(old)
        else:
            temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise

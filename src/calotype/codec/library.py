"""Finding packs: those of the package, those in ``CALOTYPE_PACKS``, and those that the caller names.

``CALOTYPE_PACKS`` is a list of paths, separated as in ``PATH``. Each is a pack or a folder of packs. They
come before the package's own, and packs that the caller names come before both.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from calotype.bitstream import NO_PACK, Header
from calotype.codec import opening
from calotype.errors import FormatError, PackError
from calotype.pack import STEPS, files

if TYPE_CHECKING:
    import calotype._rans as _rans
    from calotype.codec.manifest import Manifest
    from calotype.codec.pack import Pack  # late: it brings what only encoders need

DEFAULT = "photo-eyes"
TUNES = {"eyes": DEFAULT, "psnr": "photo-psnr"}
"""What the packs that come with the package were trained for, and their names."""
VARIABLE = "CALOTYPE_PACKS"
BUILT_IN = Path(__file__).resolve().parent.parent / "packs"

_opened: dict[Path, Pack] = {}
_natives: dict[Path, _rans.Pack] = {}
_lock = threading.Lock()


def load(pack: str | Path | Pack | None = None) -> Pack:
    """The pack to encode with: one given as such, by path or by name; by default the package's own for
    eyes.

    A pack is opened once per process. Raises PackError when there is none of that name or it is unfit for
    use.
    """
    if not isinstance(pack, str | Path | None):
        return pack
    if pack is not None and _is_pack(Path(pack)):
        return _open(Path(pack))
    name = DEFAULT if pack is None else str(pack)
    for path in paths():
        if path.stem == name:
            return _open(path)
    raise PackError(f"no pack {name}: it is neither a path nor in {_places()}")


def tuned(tune: str) -> str:
    """The name of the pack that was trained for ``tune``. Raises ValueError when there is none."""
    if tune not in TUNES:
        raise ValueError(f"tune must be {' or '.join(TUNES)}, is {tune!r}")
    return TUNES[tune]


def find(key: bytes, pack: str | Path | Pack | None = None) -> Pack:
    """The pack that a file names by the first 4 bytes of its id.

    `pack`: a pack to look at first. Raises PackError that names the id when no pack has it.
    """
    if not isinstance(pack, str | Path | None) and pack.key == key:
        return pack
    return _open(_search(key, pack)[0])


def of(header: Header, pack: str | Path | Pack | None = None) -> Pack:
    """The pack of a file, which has the file's level. Raises PackError as `find`, FormatError."""
    found = find(header.pack_id, pack)
    _check_level(header, found.manifest.max_level)
    return found


def native(header: Header, pack: str | Path | Pack | None = None) -> _rans.Pack:
    """What decodes a file, without all that an encoder needs. Errors as `of`.

    Of the tests of a pack that came with the package one is made; its files are checked by the checksums of
    gzip, by hashes where they are not compressed.
    """
    if not isinstance(pack, str | Path | None) and pack.key == header.pack_id:
        return of(header, pack).native
    path, max_level = _search(header.pack_id, pack)
    _check_level(header, max_level)
    return _native(path)


def _native(path: Path) -> _rans.Pack:
    path = path.resolve()
    with _lock:
        if path not in _natives:
            _natives[path] = opening.open_native(path, installed=path.parent == BUILT_IN)
        return _natives[path]


def expect(file: str, pack: str | None) -> None:
    """Begin to open the pack that a file names, beside whatever is done until it is decoded, such as
    importing Pillow.  What is wrong with either is said then; a pipe is left alone, as it is read once.
    """

    def work() -> None:
        with contextlib.suppress(OSError, PackError), Path(file).open("rb") as stream:
            key = stream.read(9)[5:]
            if len(key) == 4 and key != NO_PACK:
                _native(_search(key, pack)[0])

    if Path(file).is_file():
        threading.Thread(target=work, name="calotype-pack").start()


def _check_level(header: Header, max_level: int) -> None:
    if header.level > max_level:
        message = f"level {header.level} is beyond those of its pack (0 to {max_level})"
        raise FormatError(message, field="level")


def _search(key: bytes, pack: str | Path | Pack | None) -> tuple[Path, int]:
    """The first pack of this id, and its highest level."""
    candidates: list[Path] = []
    if isinstance(pack, str | Path):
        candidates = list(_within(Path(pack)))
        if not candidates and all(p.stem != str(pack) for p in paths()):
            raise PackError(f"no pack at {pack}")
    broken: PackError | None = None
    for path in (*candidates, *paths()):
        try:
            found, max_level = _described(path)
            if found == key:
                return path, max_level
        except PackError as error:
            broken = broken or error
    hint = f" ({broken})" if broken else ""
    raise PackError(
        f"pack {key.hex()} is needed to decode this file and is not in {_places()}; "
        f"get it and name its folder in {VARIABLE}{hint}"
    )


def paths() -> Iterator[Path]:
    """Every pack in ``CALOTYPE_PACKS`` and the package, unopened, in the order of search."""
    for place in os.environ.get(VARIABLE, "").split(os.pathsep):
        if place:
            yield from _within(Path(place))
    yield from _within(BUILT_IN)


def _open(path: Path) -> Pack:
    path = path.resolve()
    with _lock:
        if path not in _opened:
            from calotype.codec.pack import Pack

            _opened[path] = Pack(path)
        return _opened[path]


def _within(path: Path) -> Iterator[Path]:
    if _is_pack(path):
        yield path
    elif path.is_dir():
        yield from (entry for entry in sorted(path.iterdir()) if _is_pack(entry))


def _is_pack(path: Path) -> bool:
    return (path / files.NAME).is_file() or (path.suffix == ".zip" and path.is_file())


def _described(path: Path) -> tuple[bytes, int]:
    """Key and highest level of a pack.  Of one that came with the package little is checked: it is trusted as
    the code is, and the native decoder checks it again.
    """
    if path.parent == BUILT_IN:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # `_manifest` says what is wrong
            fields = json.loads(files.read(path, files.NAME))
            return bytes.fromhex(fields["id"][:8]), STEPS * (int(fields["levels"]) - 1)
    found = _manifest(path)
    return bytes.fromhex(found.id[:8]), found.max_level


def _manifest(path: Path) -> Manifest:
    from calotype.codec import manifest

    try:
        text = files.read(path, files.NAME)
    except (OSError, KeyError) as error:
        raise PackError(f"pack {path}: {files.NAME} cannot be read: {error}") from error
    return manifest.parse(text, str(path))


def _places() -> str:
    variable = os.environ.get(VARIABLE)
    return f"{BUILT_IN} or {VARIABLE} ({variable})" if variable else f"{BUILT_IN} ({VARIABLE} is not set)"

"""What the gate does to files: the history, and putting a pack in the place of another, which stays if it was
released.

Pack and history change together or not at all, whatever fails or whoever presses Ctrl-C.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from calotype.codec import manifest
from calotype.codec.files import write_file
from calotype.codec.pack import Pack
from calotype.errors import PackError

FORMAT = 2
"""Of a history. Format 1 knew one set of pictures for each entry; such entries stay, see `sets`."""

Record = dict[str, Any]


def read(history: Path) -> list[Record]:
    """The entries of a history, oldest first; none where there is no file.

    Raises ValueError, which names the file, when it is something else, and OSError as reading does.
    """
    try:
        packs = json.loads(history.read_bytes())["packs"]
    except FileNotFoundError:
        return []
    except KeyError:
        raise ValueError(f"{history}: not a history of packs: it has no field 'packs'") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{history}: not a history of packs: {error}") from error
    if not isinstance(packs, list) or not all(isinstance(e, dict) and "id" in e for e in packs):
        raise ValueError(f"{history}: not a history of packs: 'packs' is no list of entries with an id")
    return packs


def sets(entry: Record) -> dict[str, Record]:
    """What an entry was measured on: by a set's name its ``count``, ``sha256`` and ``curve``.

    Entries of format 1 have one set without a name, which was always Kodak, or none.
    """
    if "sets" in entry:
        found: dict[str, Record] = entry["sets"]
        return found
    return {"kodak": {**entry["images"], "curve": entry["curve"]}} if "curve" in entry else {}


def kept_at(old: Pack, target: Path, entries: list[Record]) -> Path | None:
    """Where the pack in ``target`` stays when another takes its place: beside it, in a folder with its id, if
    the history says that it was ``released``, for files out there name it. None of one that was not.
    """
    if not any(entry["id"] == old.manifest.id and "released" in entry for entry in entries):
        return None
    return target.with_name(f"{target.name}-{old.manifest.id[:8]}")


def check_places(
    candidate: Path, target: Path, history: Path, kept: Path | None, *, dry_run: bool = False
) -> None:
    """Find out before anything is measured whether the candidate could be shipped and entered.

    kept: where the pack in ``target`` would go

    Raises PackError for a candidate in a zip file and for places that are taken, and OSError where one cannot
    write (a dry run does not).
    """
    if candidate.is_file():
        raise PackError(f"{candidate}: a pack in a zip file cannot be shipped; unpack it first")
    if target.exists() and not (target / manifest.NAME).is_file():
        raise PackError(f"{target}: is there and is not a pack; choose another --target")
    if kept is not None and kept.exists():
        raise PackError(f"{kept}: is there; the pack in {target}, which was released, would go there")
    if dry_run:
        return
    for folder in (target.parent, history.parent):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            error.filename = str(folder)  # not that of a file that nobody knows
            raise


def check_files(pack: Pack) -> None:
    """Raises PackError when a file of the pack is missing or does not have its hash."""
    for name in pack.manifest.files:
        pack.file(name)


def size(pack: Pack) -> int:
    """Bytes of all files that ship."""
    return sum(
        manifest.stored(pack.path, name).stat().st_size for name in (manifest.NAME, *pack.manifest.files)
    )


def ship(
    candidate: Pack, target: Path, history: Path, entries: list[Record], kept: Path | None = None
) -> None:
    """Copy the pack to ``target`` and write the history; on any failure both are as before.

    kept: where the pack that was there goes; without it, it is deleted

    All that a power cut can leave half done lies in a hidden folder beside ``target``, or in ``kept``.
    """
    before = history.read_bytes() if history.exists() else None
    had = target.exists()
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=".promote-"))
    fresh, old = folder / "new", kept or folder / "old"
    done = False
    try:
        _copy(candidate, fresh)
        if had:
            target.rename(old)
        fresh.rename(target)
        _write(history, entries)
        done = True
    except BaseException:
        # How far it came is read from the folders: an interrupt can come between a step and a note of it.
        if target.exists() and (old.exists() or not had):
            target.rename(folder / "refused")
        if old.exists():
            old.rename(target)
        _restore(history, before)
        raise
    finally:
        if done or not old.exists():  # else putting it back failed as well, and this is all there is of it
            shutil.rmtree(folder, ignore_errors=True)


def _copy(candidate: Pack, fresh: Path) -> None:
    """Copy what the manifest lists, and look at the copy: what was measured ships, and nothing else."""
    fresh.mkdir()
    for name in (manifest.NAME, *candidate.manifest.files):
        file = manifest.stored(candidate.path, name)
        shutil.copyfile(file, fresh / file.name)
    copy = Pack(fresh)
    check_files(copy)
    if copy.manifest != candidate.manifest:
        raise PackError(f"{candidate.path}: it changed while it was measured")


def _write(history: Path, entries: list[Record]) -> None:
    write_file(history, (json.dumps({"format": FORMAT, "packs": entries}, indent=1) + "\n").encode())


def _restore(history: Path, before: bytes | None) -> None:
    if before is None:
        history.unlink(missing_ok=True)
    elif not history.exists() or history.read_bytes() != before:
        write_file(history, before)

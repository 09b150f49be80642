"""``calotype desktop``: .calo files on a Linux desktop: type, thumbnails in file managers, what opens them.

Three files go below the data folder (XDG Base Directory Specification): a type for the Shared MIME-info
Database, a ``.thumbnailer`` as GNOME, Xfce, Cinnamon and MATE read them, and a ``.desktop`` file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from calotype.cli.options import parser
from calotype.codec.files import write_file
from calotype.errors import CalotypeError
from calotype.plugins.pillow import MIME, SUFFIX

SYSTEM = Path("/usr/local/share")
UPDATES = {"mime": "update-mime-database", "applications": "update-desktop-database"}
"""Folders below the data folder, and the programs that renew what desktops know of them."""

_EPILOG = f"""\
Installs, below $XDG_DATA_HOME (~/.local/share), the media type {MIME}, a thumbnailer and an entry for
menus. Both call this very program, so install again when it has moved. Some desktops run thumbnailers in
a sandbox that shows them /usr alone: there, Calotype and these files belong below it (--system).
"""


class DesktopError(CalotypeError):
    """There is no such desktop, or its own programs refuse what was installed."""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = parser("desktop", "Let a Linux desktop know .calo files: type, thumbnails, viewer.", _EPILOG)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--install", action="store_true", help="install, or renew")
    what.add_argument("--uninstall", action="store_true", help="remove what --install wrote")
    where = options.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user: the default")
    where.add_argument("--system", action="store_true", help=f"for all users, in {SYSTEM}")
    given = options.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        raise DesktopError("calotype desktop is for Linux")
    folder = SYSTEM if given.system else data_home()
    notes = install(folder) if given.install else uninstall(folder)
    print(f"{'installed in' if given.install else 'removed from'} {folder}")
    for note in notes:
        print(f"calotype: {note}", file=sys.stderr)
    return 0


def data_home() -> Path:
    """Where the user's desktop looks: $XDG_DATA_HOME; by its specification a relative path does not count."""
    given = os.environ.get("XDG_DATA_HOME", "")
    return Path(given) if given.startswith("/") else Path.home() / ".local" / "share"


def files(command: str) -> dict[str, str]:
    """The files by their place below the data folder. command: how a shell calls this program."""
    return {
        "mime/packages/calotype.xml": _TYPE.format(mime=MIME, suffix=SUFFIX),
        "thumbnailers/calotype.thumbnailer": _THUMBNAILER.format(command=command, mime=MIME),
        "applications/calotype.desktop": _ENTRY.format(command=command, mime=MIME),
    }


def install(folder: Path) -> list[str]:
    """Write the files below ``folder`` and let the desktop know; returns what could not be done.

    Raises:
        OSError: when a file cannot be written; DesktopError: when the desktop refuses the type. The folder
            then is as it was before.
    """
    written = {folder / place: text.encode() for place, text in files(command()).items()}
    before = {path: path.read_bytes() if path.is_file() else None for path in written}
    try:
        for path, data in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(path, data)
        return _update(folder)
    except BaseException:
        for path, old in before.items():
            _put(path, old)
        _prune(folder)
        raise


def uninstall(folder: Path) -> list[str]:
    """Remove the files below ``folder`` and let the desktop know; returns what could not be done."""
    for place in files(""):
        (folder / place).unlink(missing_ok=True)
    notes = _update(folder)
    _prune(folder)
    return notes


def command() -> str:
    """This program as a word or two of a command line in a .desktop file."""
    beside = Path(sys.executable).with_name("calotype")
    if beside.is_file():
        return quoted(str(beside))
    return f"{quoted(sys.executable)} -m calotype"


def quoted(path: str) -> str:
    """A path as a word of an Exec line (Desktop Entry Specification).

    Raises DesktopError for characters that such a file cannot hold.
    """
    if any(ord(c) < 32 for c in path):
        raise DesktopError(f"{path!r}: a desktop file cannot name a path with such characters")
    escaped = "".join("\\" + c if c in '"`$\\' else c for c in path).replace("%", "%%")
    plain = all(c.isalnum() or c in "/._-+@:," for c in path)
    return path if plain else f'"{escaped}"'.replace("\\", "\\\\")


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    else:
        write_file(path, data)


def _update(folder: Path) -> list[str]:
    notes = []
    for name, program in UPDATES.items():
        place = folder / name
        if not place.is_dir() or (name == "mime" and not (place / "packages").is_dir()):
            continue
        if shutil.which(program) is None:
            notes.append(f"{program} is not installed; desktops see the change when it has run on {place}")
            continue
        done = subprocess.run([program, str(place)], capture_output=True, text=True)
        if done.returncode:
            told = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
            raise DesktopError(f"{program} {place}: {told.splitlines()[0]}")
    return notes


def _prune(folder: Path) -> None:
    """Remove folders of ours that nothing is left in."""
    for place in files(""):
        path = (folder / place).parent
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


_TYPE = """\
<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{mime}">
    <comment>Calotype image</comment>
    <comment xml:lang="de">Calotype-Bild</comment>
    <generic-icon name="image-x-generic"/>
    <magic priority="60">
      <match type="string" offset="0" value="\\xcaLO"/>
    </magic>
    <glob pattern="*{suffix}"/>
  </mime-type>
</mime-info>
"""

# Desktops name the output without a suffix, and may have made it already.
_THUMBNAILER = """\
[Thumbnailer Entry]
Exec={command} decode %i -o %o --size %s --upright --format png --force --quiet
MimeType={mime};
"""

_ENTRY = """\
[Desktop Entry]
Type=Application
Name=Calotype viewer
Comment=Look at Calotype images
Exec={command} view %F
Icon=image-x-generic
Terminal=false
NoDisplay=true
Categories=Graphics;Viewer;
MimeType={mime};
"""

"""``calotype decode PHOTO.calo [PICTURE.png]``, as most people type it.

To import what options and all else need (argparse, pathlib, json ...) takes as long as such a picture does.
Whatever is not plain, and whatever is wrong, is for :mod:`calotype.cli.decode`, which makes the same files
and says the same.
"""

from __future__ import annotations

import os
import threading

from calotype.codec.threads import default_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Made: TypeAlias = tuple[bytes, int, int]

PACKS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "packs")
LARGEST = 1 << 24
"""Pixels of a picture: larger ones have limits of their own, and take so long that imports are nothing."""


def decode(arguments: list[str]) -> int | None:
    """Run the command; returns the exit status, or None, with nothing done, if it is not plain."""
    flags = {argument for argument in arguments if argument.startswith("-")}
    names = [argument for argument in arguments if argument not in flags]
    force, quiet = bool(flags & {"-f", "--force"}), "--quiet" in flags
    if flags - {"-f", "--force", "--quiet"} or not 1 <= len(names) <= 2 or "CALOTYPE_PACKS" in os.environ:
        return None
    source, target = names[0], names[-1]
    stem, suffix = os.path.splitext(source)
    if len(names) == 1 and os.path.normpath(source) == source:  # as pathlib would write it
        target = stem + ".png"
    if (
        suffix.lower() != ".calo"
        or not target.lower().endswith(".png")
        or any(sign in target for sign in "*?[")
    ):
        return None
    if not os.path.isfile(source) or os.path.isdir(target) or (os.path.exists(target) and not force):
        return None
    try:
        with open(source, "rb") as stream:
            data = stream.read()
    except OSError:
        return None
    photograph = _begin(data)
    from calotype.codec.files import write_file  # meanwhile

    if (made := photograph()) is None:
        return None
    png, width, height = made
    write_file(target, png, overwrite=force)
    if not quiet:
        print(f"{source} -> {target}  {width} x {height}", flush=True)
    return 0


def _begin(data: bytes) -> Callable[[], Made | None]:
    """Begin to make the PNG; what waits for it, its width and height. Another thread does it: this one is to
    hear Ctrl-C at once.
    """
    from calotype.coder.native import load

    try:
        native = load()
    except ImportError:
        return lambda: None
    made: list[Made | None] = []

    def work() -> None:
        made.append(native.photograph(data, os.fsencode(PACKS), LARGEST, default_threads()))

    thread = threading.Thread(target=work, name="calotype")
    thread.start()

    def wait() -> Made | None:
        thread.join()
        return made[0] if made else None

    return wait

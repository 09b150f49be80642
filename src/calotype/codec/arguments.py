"""What the arguments of the Python functions may be; one clear line for what they may not.

Only kinds are looked at here. Whether a number is in its range says whoever uses it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from numbers import Integral, Real

from PIL import Image


def _is(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


def _keep_or(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds) or (isinstance(value, str) and value == "keep")


def _is_pack(value: object) -> bool:
    if isinstance(value, (str, os.PathLike)):
        return True
    from calotype.codec.pack import Pack  # late: a name needs no networks

    return isinstance(value, Pack)


def _is_region(value: object) -> bool:
    numpy = sys.modules.get("numpy")  # without it nobody has an array
    kinds = (Sequence, numpy.ndarray) if numpy else Sequence
    if isinstance(value, (str, bytes)) or not isinstance(value, kinds):
        return False
    return len(value) == 4 and all(map(_is_only(Integral), value))


def _is_switch(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return isinstance(value, (bool, numpy.bool_) if numpy else bool)


def _is_only(kind: type) -> Callable[[object], bool]:
    """Not True and False, which Python takes for 1 and 0."""
    return lambda value: isinstance(value, kind) and not _is_switch(value)


_NUMBER = (_is_only(Real), "a number")
_WHOLE = (_is_only(Integral), "a whole number")
_SWITCH = (_is_switch, "True or False")
_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "quality": _NUMBER,
    "target_size": _NUMBER,
    "target_bpp": _NUMBER,
    "target_psnr": _NUMBER,
    "target_ms_ssim": _NUMBER,
    "target_ssimulacra2": _NUMBER,
    "effort": _WHOLE,
    "threads": _WHOLE,
    "frame": _WHOLE,
    "lossless": _SWITCH,
    "strip": _SWITCH,
    "keep_hidden_colour": _SWITCH,
    "max_pixels": _NUMBER,
    "max_metadata": _NUMBER,
    "tune": (_is(str), "'eyes' or 'psnr'"),
    "pack": (_is_pack, "the name or path of a pack, or a Pack"),
    "region": (_is_region, "(left, top, right, bottom), four whole numbers"),
    "damaged": (lambda value: value in ("error", "keep"), "'error' or 'keep'"),
    "exif": (_keep_or(bytes, bytearray, Image.Exif), "bytes, a PIL.Image.Exif, None or 'keep'"),
    "icc_profile": (_keep_or(bytes, bytearray), "bytes, None or 'keep'"),
    "xmp": (_is(bytes, bytearray, str), "bytes, a text, None or 'keep'"),
}


def check(**given: object) -> None:
    """Look at arguments by their names; those that are None are not given. Each may be of any type.

    Raises TypeError for one that is of the wrong kind, ValueError for a text in place of one of a few words.
    """
    for name, value in given.items():
        fits, what = _RULES[name]
        if value is not None and not fits(value):
            error = ValueError if isinstance(value, str) and "'" in what else TypeError
            shown = " ".join(repr(value).split())
            shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
            raise error(f"{name} must be {what}, not {shown} ({type(value).__name__})")

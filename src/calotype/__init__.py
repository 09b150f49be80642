"""Calotype: a learned image codec, and the laboratory and benchmark in which such codecs are made.

::

    import calotype

    data = calotype.encode(image, quality=60)     # a Pillow image or uint8 [H, W, 3] -> bytes of a .calo file
    image = calotype.decode(data)                 # -> Pillow image
    small = calotype.preview(data)                # at an eighth of its size, in a fraction of the time

    calotype.save(image, "photo.calo", target_size=40_000)
    image = calotype.open("photo.calo")
    fields = calotype.probe("photo.calo")             # every field of the file, without loading a network

    Image.open("photo.calo"); image.save("photo.calo", quality=60)        # Pillow knows the format, too

Everything that is public is in ``__all__``. Importing this package is quick: what does the work (NumPy,
the native code) is imported at the first call.
"""

from __future__ import annotations

import sys

from calotype import _interrupt

if _interrupt.is_command():
    _interrupt.stop_at_once()  # before all imports that take time

from calotype.errors import (
    CalotypeError,
    ConversionWarning,
    FormatError,
    ImageError,
    LimitError,
    PackError,
)

TYPE_CHECKING = (
    False  # as type checkers know it; `typing` itself takes as long as a tenth of ``calotype decode``
)
if TYPE_CHECKING:
    from typing import Any

    from calotype.api import decode, encode, open, preview, probe, save

    __version__: str

__all__ = [
    "CalotypeError",
    "ConversionWarning",
    "FormatError",
    "ImageError",
    "LimitError",
    "PackError",
    "__version__",
    "decode",
    "encode",
    "open",
    "preview",
    "probe",
    "save",
]

if not (_interrupt.is_command() and sys.argv[1:2] == ["decode"]):  # which, as a rule, needs no Pillow
    from calotype.plugins import pillow as _pillow

    _pillow.register()
if "imageio" in sys.modules:
    import contextlib

    with contextlib.suppress(ImportError):  # a version without plugins of this kind
        from calotype.plugins import imageio as _imageio

        _imageio.register()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("calotype")
    elif name in __all__:
        from calotype import api

        value = getattr(api, name)
    else:
        raise AttributeError(f"module 'calotype' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Probability tables and the rANS entropy coder, and a coder of pixels: integers in, bytes out.

The layout of a coded stream is normative: docs/FORMAT.md, "rANS stream". Everything is exact
integer arithmetic, so the same symbols and tables give the same bytes on every machine.

    tables = gaussian_tables(log_scales())
    data = encode(values, index, tables, skip=0)
    assert (decode(data, index, tables, skip=0) == values).all()

``Encoder`` and ``Decoder`` put several arrays into one stream, ``LatentCoder`` codes whole tiles of latents,
``DecoderNetworks`` lead from them to pixels, ``EncoderNetworks`` from pixels to them.
Tables and their arithmetic work everywhere; only coding itself needs the native module ``calotype._rans``,
which is loaded at the first use.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in calotype/__init__.py
if TYPE_CHECKING:
    from typing import Any

    from calotype.coder.frequencies import PRECISION, TOTAL, cdf_rows, quantise
    from calotype.coder.gaussian import gaussian_tables, log_scales
    from calotype.coder.latents import Classes, LatentCoder, LevelIntegers
    from calotype.coder.networks import (
        DecoderNetworks,
        EncoderNetworks,
        LevelPixels,
        LevelSteps,
        Restored,
        Wish,
    )
    from calotype.coder.pixels import decode_pixels, encode_pixels, pixel_bits
    from calotype.coder.stream import Decoder, Encoder, decode, encode
    from calotype.coder.tables import TableSet

__all__ = [
    "PRECISION",
    "TOTAL",
    "Classes",
    "Decoder",
    "DecoderNetworks",
    "Encoder",
    "EncoderNetworks",
    "LatentCoder",
    "LevelIntegers",
    "LevelPixels",
    "LevelSteps",
    "Restored",
    "TableSet",
    "Wish",
    "cdf_rows",
    "decode",
    "decode_pixels",
    "encode",
    "encode_pixels",
    "gaussian_tables",
    "log_scales",
    "pixel_bits",
    "quantise",
]

_HOMES = {
    "frequencies": ("PRECISION", "TOTAL", "cdf_rows", "quantise"),
    "gaussian": ("gaussian_tables", "log_scales"),
    "latents": ("Classes", "LatentCoder", "LevelIntegers"),
    "networks": ("DecoderNetworks", "EncoderNetworks", "LevelPixels", "LevelSteps", "Restored", "Wish"),
    "pixels": ("decode_pixels", "encode_pixels", "pixel_bits"),
    "stream": ("Decoder", "Encoder", "decode", "encode"),
    "tables": ("TableSet",),
}
"""Where names are that are imported when they are first asked for: to decode a file takes none of them, nor
NumPy.
"""


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value

"""``manifest.json`` of a pack: its fields, read and checked (docs/FORMAT.md, *Packs*)."""

from __future__ import annotations

import itertools
import json
import reprlib
from dataclasses import dataclass
from typing import Any

from calotype.codec import visual
from calotype.codec.levels import Ladder
from calotype.errors import PackError
from calotype.pack import FORMAT, HYPER_STRIDE, STEPS, STRIDE, Z_LIMIT
from calotype.pack.files import ENCODER, FILES, NAME, NETWORKS, TABLES, identity, read, stored

__all__ = ["ENCODER", "FILES", "NAME", "NETWORKS", "TABLES", "Manifest", "parse", "read", "stored"]

MAX_MARGIN = 64


@dataclass(frozen=True)
class Manifest:
    """The fields of the manifest under their own names; ``training`` is taken as it is."""

    name: str
    id: str
    files: dict[str, str]
    coder: int
    latents: int
    hyper_latents: int
    levels: int
    quality: tuple[tuple[float, float], ...]
    visual: visual.Visual | None
    z_limit: int
    analysis_margin: int
    synthesis_margin: int
    tile: int
    training: Any

    @property
    def distortion(self) -> str:
        """What it was trained for, as far as the record says: "mse", "ms-ssim" or "ssimulacra2"."""
        found = self.training.get("distortion") if isinstance(self.training, dict) else None
        return found if isinstance(found, str) else "mse"

    @property
    def ladder(self) -> Ladder:
        """The plain map from quality to level, the same for all pictures."""
        return Ladder(self.quality)

    @property
    def max_level(self) -> int:
        """The highest level."""
        return STEPS * (self.levels - 1)


def parse(text: bytes, where: str) -> Manifest:
    """Read a manifest; `where` names the pack in messages. Raises PackError where it breaks the contract."""

    def wrong(message: str) -> PackError:
        return PackError(f"pack {where}: {NAME}: {message}")

    try:
        fields = json.loads(text)
    except ValueError as error:
        raise wrong(f"not JSON: {error}") from error
    except RecursionError as error:
        raise wrong("nested too deeply") from error
    if not isinstance(fields, dict):
        raise wrong("not an object")

    def integer(name: str, low: int, high: int) -> int:
        value = fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            wanted = str(low) if low == high else f"a whole number from {low} to {high}"
            raise wrong(f"{name} must be {wanted}, is {reprlib.repr(value)}")
        return value

    integer("format", FORMAT, FORMAT)
    integer("stride", STRIDE, STRIDE)
    integer("hyper_stride", HYPER_STRIDE, HYPER_STRIDE)
    files = fields.get("files")
    if not isinstance(files, dict) or set(files) != set(FILES) or not all(map(_is_hash, files.values())):
        raise wrong(f"files must give the SHA-256 of {', '.join(sorted(FILES))}")
    found, given = identity(files), fields.get("id")
    if given != found:
        raise wrong(f"id {reprlib.repr(given)} does not follow from the files, which give {found}")
    levels = integer("levels", 2, 256)
    tile = integer("tile", 64, 4096)
    if tile & (tile - 1):
        raise wrong(f"tile must be a power of two, is {tile}")
    try:
        quality = _quality(fields.get("quality"), STEPS * (levels - 1))
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong(f"quality must be pairs (quality, level): {error}") from error
    try:
        look = visual.parse(fields["visual"], STEPS * (levels - 1)) if "visual" in fields else None
    except (TypeError, ValueError, OverflowError) as error:
        raise wrong(f"visual: {error}") from error
    name = fields.get("name", "")
    if not isinstance(name, str):
        raise wrong("name must be a string")
    return Manifest(
        name=name,
        id=found,
        files=files,
        coder=integer("coder", 1, 2**31),
        latents=integer("latents", 1, 4096),
        hyper_latents=integer("hyper_latents", 1, 4096),
        levels=levels,
        quality=quality,
        visual=look,
        z_limit=integer("z_limit", Z_LIMIT, Z_LIMIT),
        analysis_margin=integer("analysis_margin", 0, MAX_MARGIN),
        synthesis_margin=integer("synthesis_margin", 0, MAX_MARGIN),
        tile=tile,
        training=fields.get("training"),
    )


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and all(digit in "0123456789abcdef" for digit in value)


def _quality(value: Any, max_level: int) -> tuple[tuple[float, float], ...]:
    points = tuple((float(quality), float(level)) for quality, level in value)
    if len(points) < 2 or (points[0][0], points[-1][0]) != (0, 100):
        raise ValueError("they do not lead from 0 to 100")
    if not all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(points)):
        raise ValueError("they do not rise")
    if points[0][1] < 0 or points[-1][1] > max_level:
        raise ValueError(f"they leave the levels 0 to {max_level}")
    return points

"""What a .calo file holds, by its hashes, and the script that writes the stored ones anew.

    python -m tests.golden            the files in tests/data/shipped, with the packs that ship

Files and hashes are stored once. They are written anew where a pack changes before version 0.1.0; after a
release a file that decodes to other pixels is a bug, not a reason to run this.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calotype.bitstream import parse, taps, tile_box, write
from calotype.codec import latents, library, tiles
from calotype.codec.decoder import decode, preview
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.errors import PackError

DATA = Path(__file__).parent / "data"
KNOWN = "known.json"
Scene = Callable[[int, int, int], NDArray[np.uint8]]
Case = tuple[str, Picture, float, int]
"""Name, picture, quality and side of the tiles."""


def digest(integers: NDArray[Any]) -> str:
    """The SHA-256 of an array: bytes as they are, other integers as 32 bits, little-endian."""
    kind = "|u1" if integers.dtype == np.uint8 else "<i4"
    return hashlib.sha256(integers.astype(kind).tobytes()).hexdigest()


def scene(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Shading, edges and texture, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    plane = 120 + 70 * np.sin(x / rng.uniform(20, 90) + y / rng.uniform(-90, 90))
    plane += 50 * ((x // rng.integers(9, 60) + y // rng.integers(9, 60)) % 2)
    tint = rng.uniform(0.5, 1.2, 3)
    noise = rng.normal(0, rng.uniform(1, 6), (height, width, 1))
    return np.clip(plane[:, :, None] * tint + noise, 0, 255).astype(np.uint8)


def captioned(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Two lines of text over a scene, smooth at their edges."""
    image = Image.fromarray(scene(height, width, seed) // 2 + 40)
    draw = ImageDraw.Draw(image)
    for top, colour in ((8, (255, 240, 20)), (height // 2, (255, 255, 255))):
        draw.text((6, top), "Letters, 0123456789", font=ImageFont.load_default(19), fill=colour)
    return np.array(image)


def own_taps() -> list[list[int]]:
    """Eight sets of a picture's own taps: some small, some so large that they have to be held back."""
    rng = np.random.default_rng(15)
    largest = rng.permutation([2, 2, 4, 8, 16, 40, 127, 0])
    sets = [[*rng.integers(-n, n + 1, 20), *rng.integers(-8, 9, 2)] for n in largest]
    return [[int(value) for value in one] for one in sets]


def with_taps(data: bytes, sets: list[list[int]]) -> bytes:
    """A file of latents alone, and without metadata, with own taps."""
    file = parse(data)
    return write(file.header, file.tiles, layer=file.layer, taps=taps.write(sets))


def described(data: bytes, pack: Pack) -> dict[str, Any]:
    """The hashes of a file's integers, tile by tile (None of a tile of pixels), of its pixels and preview."""
    file = parse(data)
    networks = Networks(pack, pack.level(file.header.level))
    integers: list[dict[str, str] | None] = []
    for number, payload in enumerate(file.tiles):
        if file.pixels[number]:
            integers.append(None)
            continue
        box = tiles.latent_box(tile_box(file.header, number))
        z, r = latents.read(networks, payload, box.height, box.width)
        integers.append({"z": digest(z), "r": digest(r)})
    small = preview(data, pack=pack, threads=1).picture.pixels
    pixels = decode(data, pack=pack, threads=1).picture.pixels
    return {"tiles": integers, "pixels": digest(pixels), "preview": digest(small)}


def store(folder: Path, packs: Iterable[tuple[str, Pack]], cases: Callable[[], Iterable[Case]]) -> None:
    """Write ``folder``: a file for each pack, whose name begins as said, and case; and `KNOWN`."""
    folder.mkdir(exist_ok=True)
    known = {}
    for prefix, pack in packs:
        for name, picture, quality, tile in cases():
            # By level: otherwise what is small enough is coded without loss, which tests nothing of the pack.
            level = pack.level_of(quality)
            data = encode(picture, level=level, pack=pack, tile=tile, threads=1).data
            (folder / f"{prefix}{name}.calo").write_bytes(data)
            known[prefix + name] = described(data, pack)
        if pack.level(0).restoration is not None:
            data = with_taps((folder / f"{prefix}tiles.calo").read_bytes(), own_taps())
            (folder / f"{prefix}taps.calo").write_bytes(data)
            known[f"{prefix}taps"] = described(data, pack)
    (folder / KNOWN).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def cases() -> Iterable[Case]:
    """Small pictures whose sizes are odd, at levels between trained ones."""
    yield "one-pixel", Picture(scene(1, 1, 1)), 60, 1024
    yield "odd", Picture(scene(53, 91, 3)), 47.3, 1024
    yield "tiles", Picture(scene(150, 95, 4)), 21, 64
    yield "grey", Picture(np.repeat(scene(40, 70, 5)[:, :, :1], 3, axis=2), grey=True), 80, 64
    hard = np.zeros((48, 48, 3), np.uint8)
    hard[:, 24:, 0], hard[::2, :, 1], hard[20:, ::3, 2] = 255, 255, 255
    grain = np.random.default_rng(8).integers(0, 60, hard.shape)
    yield "hard", Picture(np.where(hard > 0, hard - grain, grain).astype(np.uint8)), 95, 1024
    noise = np.random.default_rng(9).integers(0, 256, (64, 48, 3))
    yield "noise", Picture(noise.astype(np.uint8)), 95, 1024
    yield "caption", Picture(captioned(90, 205, 12)), 55, 128
    yield "meeting", Picture(scene(150, 290, 14) // 6), 50, 128
    grey = np.asarray(Image.fromarray(captioned(70, 196, 13)).convert("L"))
    yield "caption-grey", Picture(np.repeat(grey[:, :, None], 3, axis=2), grey=True), 70, 1024


if __name__ == "__main__":
    for path in (DATA / "shipped").glob("*.calo"):
        path.unlink()
    shipped = []
    for tuned in library.TUNES.values():
        try:
            shipped.append((f"{tuned}-", library.load(tuned)))
        except PackError as error:
            print(f"{tuned}: left out: {error}", file=sys.stderr)
    store(DATA / "shipped", shipped, cases)

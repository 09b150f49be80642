"""A large picture is decoded in little more memory than its pixels take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.golden import scene

from calotype.bitstream import parse, write
from calotype.codec import library
from calotype.codec.encoder import encode
from calotype.codec.image import Picture

SIDE, TILE = 10_240, 1024
MOST = 400 << 20
"""Bytes beyond the pixels; it was 270 MiB when this was written."""
DECODE = """
import resource, sys
from calotype.codec.decoder import decode
picture = decode(open(sys.argv[1], "rb").read(), threads=2).picture
print(picture.pixels.nbytes, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, to see how much memory a process has")
def test_100_megapixels_take_little_beyond_their_pixels(tmp_path: Path) -> None:
    """A file of a hundred tiles that are all alike: nothing is shared between them when they are decoded."""
    pack = library.load()
    small = parse(encode(Picture(scene(TILE, TILE, 7)), level=pack.level_of(30), pack=pack, tile=TILE).data)
    assert len(small.tiles) == 1
    assert not any(small.pixels)
    header = small.header._replace(width=SIDE, height=SIDE)
    (tmp_path / "large.calo").write_bytes(write(header, small.tiles * (SIDE // TILE) ** 2))
    told = subprocess.run(
        [sys.executable, "-c", DECODE, tmp_path / "large.calo"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    pixels, peak = map(int, told.stdout.split())
    assert pixels == 3 * SIDE * SIDE
    assert 0 < peak - pixels < MOST, f"{(peak - pixels) / 2**20:.0f} MiB beyond the pixels"

"""libcalotype, built and installed as a user would, against calotype.decode: the same pixels, bit for bit."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.library.binding import Library
from tests.tools import need

import calotype
from calotype.api import to_picture
from calotype.bitstream.checks import chunk_crc
from calotype.bitstream.fields import varint
from calotype.codec.encoder import encode
from calotype.codec.pack import Pack
from calotype.coder import encode_pixels

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "tiny" / "tiny.zip"
EXAMPLE = ROOT / "examples" / "decode.c"
HOSTILE = sorted((ROOT / "tests" / "data" / "hostile").glob("*.calo"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the example is built by cc and pkg-config"),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library is installed, built without Python."""
    need("cmake", "cmake")
    if "CALOTYPE_LIBRARY" in os.environ:  # where it is installed already
        return Path(os.environ["CALOTYPE_LIBRARY"])
    folder = tmp_path_factory.mktemp("library")
    made = folder / "build"
    configure = ["cmake", "-S", ROOT, "-B", made, "-DCALOTYPE_LIBRARY=ON"]
    subprocess.run(configure, check=True)
    subprocess.run(["cmake", "--build", made], check=True)
    # As docs/library.md does.
    subprocess.run(["cmake", "--install", made, "--prefix", folder / "usr"], check=True)
    return folder / "usr"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny pack in it."""
    packs = tmp_path_factory.mktemp("packs")
    with zipfile.ZipFile(TINY) as archive:
        archive.extractall(packs / "tiny")
    return packs


@pytest.fixture(scope="module")
def library(installed: Path, folder: Path) -> Library:
    found = next(p for p in installed.rglob("libcalotype.*") if p.suffix in (".so", ".dylib"))
    return Library(found, folder / "tiny")


def coded(picture: Any, tile: int | None = None) -> bytes:
    return encode(to_picture(picture), quality=60, pack=TINY, tile=tile).data


@pytest.fixture(scope="module")
def files(scene: Callable[..., np.ndarray]) -> dict[str, bytes]:
    """Files of every kind, by name; several tiles where it says so."""
    text = np.full((140, 300, 3), 250, np.uint8)
    text[:, :128] = scene(140, 128)
    text[20:120:9, 140:290] = (0, 0, 80)
    alpha = (np.add.outer(np.arange(90), 3 * np.arange(150)) % 256).astype(np.uint8)
    clear = np.dstack([scene(90, 150), alpha])
    pictures: dict[str, Any] = {
        "small": scene(1, 1),
        "odd": scene(131, 77),
        "grey": scene(100, 61)[:, :, :1],
        "alpha": clear,
        "grey and alpha": Image.fromarray(clear).convert("LA"),
        "tiles": scene(200, 330),
        "text": text,
        "flat": np.full((40, 50, 3), 77, np.uint8),
    }
    tiles = {"tiles": 64, "text": 128}
    return {name: coded(picture, tiles.get(name)) for name, picture in pictures.items()}


@pytest.fixture(scope="module")
def scene() -> Callable[..., np.ndarray]:
    from tests.golden import scene as made

    return lambda height, width: made(height, width, 7)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).reshape(image.height, image.width, -1)


def test_the_example(installed: Path, folder: Path, files: dict[str, bytes], tmp_path: Path) -> None:
    compiler = need(os.environ.get("CC", "cc"), "gcc")
    need("pkg-config", "pkg-config")
    libraries = next(installed.rglob("pkgconfig")).parent
    environment = {
        **os.environ,
        "PKG_CONFIG_PATH": str(libraries / "pkgconfig"),
        "LD_LIBRARY_PATH": str(libraries),
    }
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "calotype"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    program = tmp_path / "decode"
    strict = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run([compiler, *strict, EXAMPLE, *flags, "-o", program], check=True)
    for name, data in files.items():
        (tmp_path / "x.calo").write_bytes(data)
        subprocess.run(
            [program, tmp_path / "x.calo", folder, tmp_path / "x.ppm"], env=environment, check=True
        )
        with Image.open(tmp_path / "x.ppm") as shown:
            expected = calotype.decode(data, pack=TINY).convert("RGBA").convert("RGB")
            assert np.array_equal(array(shown), array(expected)), name
    found = subprocess.run(
        [program, tmp_path / "x.calo", tmp_path], env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert found.stderr.startswith("decode: give")


@pytest.mark.parametrize("threads", [1, 4])
def test_whole_part_and_preview(library: Library, files: dict[str, bytes], threads: int) -> None:
    for name, data in files.items():
        expected = array(calotype.decode(data, pack=TINY))
        height, width, channels = expected.shape
        found = library.decode(data, channels=channels, threads=threads)
        assert np.array_equal(found, expected), name
        box = (width // 3, height // 4, width - width // 5, height - height // 6)
        part = library.decode(data, region=box, channels=channels, threads=threads)
        assert np.array_equal(part, expected[box[1] : box[3], box[0] : box[2]]), name
        small = library.decode(data, preview=True, channels=channels, threads=threads)
        assert np.array_equal(small, array(calotype.preview(data, pack=TINY))), name


def test_channels_and_stride(library: Library, files: dict[str, bytes]) -> None:
    grey = array(calotype.decode(files["grey"], pack=TINY))
    assert np.array_equal(library.decode(files["grey"], channels=3), np.repeat(grey, 3, axis=2))
    assert (library.decode(files["grey"], channels=2)[:, :, 1] == 255).all()
    colour = array(calotype.decode(files["odd"], pack=TINY))
    padded = library.decode(files["odd"], channels=4, stride=4 * 77 + 9)
    assert np.array_equal(padded[:, :, :3], colour)
    assert (padded[:, :, 3] == 255).all()
    wrong: list[dict[str, Any]] = [
        {"channels": 1},
        {"channels": 5},
        {"stride": 100},
        {"region": (0, 0, 78, 1)},
    ]
    for options in (*wrong, {"room": 10}):
        with pytest.raises(ValueError, match=r"^4: "):
            library.decode(files["odd"], **options)


def test_what_is_reserved_must_be_0(library: Library, files: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match=r"^4: reserved must be 0$"):
        library.decode(files["flat"], reserved=1)


def test_the_version_is_that_of_the_header(library: Library) -> None:
    header = (ROOT / "native" / "calotype.h").read_text(encoding="utf-8")
    assert f"#define CALOTYPE_VERSION {library.native.calotype_version()}\n" in header


def test_pkg_config_knows_folders_outside_the_prefix(tmp_path: Path) -> None:
    need("cmake", "cmake")
    configure = ["cmake", "-S", ROOT, "-B", tmp_path, "-DCALOTYPE_LIBRARY=ON", "-DCMAKE_INSTALL_PREFIX=/usr"]
    subprocess.run([*configure, "-DCMAKE_INSTALL_LIBDIR=/elsewhere/lib"], check=True)
    made = (tmp_path / "calotype.pc").read_text(encoding="utf-8").splitlines()
    assert {"prefix=/usr", "libdir=/elsewhere/lib", "includedir=${prefix}/include"} <= set(made)


def test_info_and_metadata(library: Library, scene: Callable[..., np.ndarray], tiny: Pack) -> None:
    image = Image.fromarray(scene(70, 90))
    image.info["icc_profile"] = None
    data = calotype.encode(
        image, 20, pack=TINY, xmp=b"<x>" + b"<y/>" * 1500 + b"</x>", exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
    )
    info = library.info(data)
    assert (info.width, info.height) == (90, 70)
    assert (info.needs_pack, info.grey, info.alpha, info.damaged) == (1, 0, 0, 0)
    assert bytes(info.pack_id) == tiny.key
    assert info.level == calotype.probe(data)["level"]
    parsed = calotype.bitstream.parse(data)
    for name in ("icc", "exif", "xmp"):
        assert library.metadata(data, name) == parsed.metadata.get(name)
    with pytest.raises(ValueError, match=r"^2: .*max_metadata"):
        library.info(data, max_metadata=100)
    with pytest.raises(ValueError, match=r"^2: .*max_pixels"):
        library.info(data, max_pixels=6299)


def test_what_is_left_of_a_damaged_file(library: Library, files: dict[str, bytes]) -> None:
    for name in ("tiles", "text"):
        data = files[name]
        chunks = calotype.probe(data)["chunks"]
        hurt = bytearray(data)
        hurt[chunks[1]["offset"] + 12] ^= 1
        cut = data[: chunks[-1]["offset"] + chunks[-1]["length"] // 2]
        for damaged in (bytes(hurt), cut):
            with pytest.raises(ValueError, match=r"^1: "):
                library.decode(damaged)
            expected = calotype.decode(damaged, pack=TINY, damaged="keep")
            assert np.array_equal(library.decode(damaged, keep=True), array(expected)), name
            assert library.status == 6
            small = calotype.preview(damaged, pack=TINY, damaged="keep")
            assert np.array_equal(library.decode(damaged, keep=True, preview=True), array(small)), name
        library.decode(bytes(hurt), keep=True)
        assert np.flatnonzero(library.damaged).tolist() == [1]


def test_packs_that_are_not_right(
    library: Library, folder: Path, files: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"^3: pack [0-9a-f]{8} is needed"):
        library.decode(files["odd"], pack=False)
    assert library.decode(files["flat"], pack=False).max() == 77
    with pytest.raises(ValueError, match=r"^3: .*no manifest\.json"):
        library.open_pack(folder)
    with pytest.raises(ValueError, match=r"^3: pack 00000000 is needed and is not in"):
        library.open_pack(folder, bytes(4))
    shutil.copytree(folder / "tiny", tmp_path / "hurt")
    for path in sorted((tmp_path / "hurt").iterdir()):
        if path.name.startswith(("manifest", "tables", "networks")):
            data = path.read_bytes()
            path.write_bytes(data[:-20] + b"x" + data[-19:])
            with pytest.raises(ValueError, match=r"^3: pack: "):
                library.open_pack(tmp_path / "hurt")
            path.write_bytes(data)
    library.open_pack(tmp_path / "hurt")


def test_deflated_data_of_every_kind(library: Library, scene: Callable[..., np.ndarray]) -> None:
    header = calotype.bitstream.Header(1, 1, 0, bytes(4))
    tile = encode_pixels(np.zeros((1, 1, 3), np.uint8))[0]
    noise = np.random.default_rng(3)
    contents = [
        bytes([7]),
        bytes(70000),
        scene(100, 200).tobytes(),
        noise.bytes(70000),
        noise.bytes(300) * 100,
    ]
    for content in contents:
        for level in (0, 1, 6, 9):
            for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED):
                packer = zlib.compressobj(level, zlib.DEFLATED, 15, 9, strategy)
                packed = packer.compress(content) + packer.flush()
                assert library.metadata(with_icc(header, tile, packed), "icc") == content
                for place in noise.integers(0, min(len(packed), 400), 20):
                    hurt = bytearray(packed)
                    hurt[place] ^= 1 << noise.integers(8)
                    data = with_icc(header, tile, bytes(hurt))
                    try:
                        expected = calotype.bitstream.parse(data).icc
                    except calotype.FormatError:
                        with pytest.raises(ValueError, match=r"^1: icc"):
                            library.info(data)
                    else:
                        assert library.metadata(data, "icc") == expected


def with_icc(header: calotype.bitstream.Header, tile: bytes, packed: bytes) -> bytes:
    """A file of one pixel whose ICC profile is stored as `packed`."""
    start = header.to_bytes()
    crc = zlib.crc32(start)
    data = start
    for kind, payload in ((0x81, packed), (0x04, tile)):
        data += bytes([kind]) + varint(len(payload)) + payload
        data += struct.pack("<I", chunk_crc(crc, kind, 0, payload))
    return data


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_the_same_files_are_refused(library: Library, path: Path) -> None:
    data = path.read_bytes()
    try:
        calotype.bitstream.parse(data)
    except calotype.FormatError:
        with pytest.raises(ValueError, match=r"^1: "):
            library.info(data)
    except calotype.LimitError:
        with pytest.raises(ValueError, match=r"^2: "):
            library.info(data)
    else:
        library.info(data)


def test_a_stream_in_alpha_that_is_damaged(library: Library, files: dict[str, bytes]) -> None:
    file = calotype.bitstream.parse(files["alpha"])
    good = encode_pixels(np.zeros((90, 150, 1), np.uint8))[0]
    data = calotype.bitstream.write(file.header, [bytes(t) for t in file.tiles], alpha=[good[:-1]])
    with pytest.raises(ValueError, match=r"^1: alpha: "):
        library.decode(data, channels=4)
    assert library.decode(data).shape == (90, 150, 3)

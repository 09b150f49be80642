"""Bad input of every kind: one clear line, status 1, no partial output, and what existed stays as it was."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

import calotype
from calotype import bitstream

Run = Callable[..., Any]
HOSTILE = Path(__file__).parents[1] / "data" / "hostile"
REFUSED = {
    name: case
    for name, case in json.loads((HOSTILE / "index.json").read_text()).items()
    if case.get("exception")
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_refused(run: Run, folder: Path, *arguments: object, says: str) -> None:
    """The command fails in the one right way, with and without an output that exists already."""
    before = contents(folder)
    complaint = run(*arguments).complaint
    assert says in complaint
    assert contents(folder) == before


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_hostile_files(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "out.png").write_bytes(b"precious")
    source = HOSTILE / name
    case = REFUSED[name]
    limit = ("--max-pixels", 2**30)  # the reader's own, which the index of these files goes by
    assert_refused(run, tmp_path, "decode", source, tmp_path / "new.png", *limit, says=case["message"])
    assert_refused(run, tmp_path, "decode", source, tmp_path / "out.png", "-f", *limit, says=case["message"])
    assert_refused(run, tmp_path, "decode", source, tmp_path / "new.png", says=f"{source}: ")
    assert run("probe", source).status == 1


def test_every_truncation(run: Run, coded: Path, tmp_path: Path) -> None:
    data = coded.read_bytes()
    cut = tmp_path / "cut.calo"
    for length in [*range(24), len(data) // 2, len(data) - 1]:
        cut.write_bytes(data[:length])
        assert_refused(run, tmp_path, "decode", cut, says="cut.calo: ")


def test_every_flipped_byte(run: Run, coded: Path, tmp_path: Path) -> None:
    data = coded.read_bytes()
    bad = tmp_path / "bad.calo"
    for position in [*range(24), *range(24, len(data), max(1, len(data) // 20)), len(data) - 1]:
        bad.write_bytes(data[:position] + bytes([data[position] ^ 0x41]) + data[position + 1 :])
        assert_refused(run, tmp_path, "decode", bad, says="bad.calo: ")


def test_a_file_that_needs_another_pack(run: Run, tmp_path: Path) -> None:
    from calotype import bitstream

    path = tmp_path / "other.calo"
    path.write_bytes(bitstream.write(bitstream.Header(8, 8, 0, bytes.fromhex("0badcafe")), [b"\0"]))
    assert_refused(run, tmp_path, "decode", path, says="pack 0badcafe is needed")


def test_missing_files(run: Run, tmp_path: Path) -> None:
    for command in ("encode", "decode", "probe"):
        assert_refused(run, tmp_path, command, tmp_path / "no.calo", says="no.calo: no such file")
    assert_refused(
        run, tmp_path, "compare", tmp_path / "a.png", tmp_path / "b.png", says="a.png: no such file"
    )
    assert_refused(
        run, tmp_path, "demo", tmp_path / "a.png", "-o", tmp_path / "d", says="a.png: no such file"
    )


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.png", b"", "the file is empty"),
        ("text.jpg", b"Dear Sir or Madam,\n" * 20, "not a picture"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ""),
        ("cut.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0", ""),
    ],
)
def test_files_that_are_no_pictures(run: Run, tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert_refused(run, tmp_path, "encode", tmp_path / name, says=f"{name}: {says}")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tif", "gif", "bmp", "jp2", "j2k", "dds"])
def test_truncated_pictures(run: Run, tmp_path: Path, make_scene: Any, suffix: str) -> None:
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("Pillow is without AVIF")
    path = tmp_path / f"cut.{suffix}"
    make_scene(200, 150).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    says = f"cut.{suffix}: the file is cut off or damaged"
    way_out = (
        "" if suffix in ("webp", "avif", "jp2", "j2k", "dds") else "; --accept-truncated reads what there is"
    )
    assert_refused(run, tmp_path, "encode", path, says=says)
    assert run("encode", path).complaint.endswith(f"{says}{way_out}")
    assert (run("encode", path, "--accept-truncated").status == 0) == bool(way_out)


def bitmap(compression: int) -> bytes:
    """A BMP that says so of itself."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "BMP")
    return out.getvalue()[:30] + compression.to_bytes(4, "little") + out.getvalue()[34:]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.bmp", bitmap(6), "Unsupported BMP compression (6)"),
        ("a.grib", b"GRIB\0\0\0\1" + bytes(100), "cannot find loader for this GRIB file"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "cannot find loader for this HDF5 file"),
    ],
)
def test_kinds_that_pillow_lacks_are_not_called_damaged(
    run: Run, tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    says = f"{name}: of a kind that Pillow does not read: {reason}"
    assert_refused(run, tmp_path, "encode", tmp_path / name, says=says)


def test_a_tiff_of_unknown_samples_is_not_called_damaged(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("L", (8, 8)).save(path)
    tag = (258).to_bytes(2, "little") + b"\3\0\1\0\0\0"  # bits per sample
    path.write_bytes(path.read_bytes().replace(tag + b"\x08", tag + b"\x07"))
    says = "a.tif: of a kind that Pillow does not read: unknown pixel mode"
    assert_refused(run, tmp_path, "encode", path, says=says)


@pytest.mark.parametrize("suffix", ["jpg", "gif", "tif", "jp2", "qoi"])
@pytest.mark.parametrize("more", [(), ("--accept-truncated",)])
def test_pictures_cut_before_their_pixels(
    run: Run, tmp_path: Path, make_scene: Any, suffix: str, more: tuple[str, ...]
) -> None:
    path = tmp_path / f"cut.{suffix}"
    how = {"compression": "tiff_lzw"} if suffix == "tif" else {}  # libtiff writes the directory last
    make_scene(200, 150).save(path, **how)
    path.write_bytes(path.read_bytes()[:60])
    assert run("encode", path, *more).complaint.endswith(f"cut.{suffix}: the file is cut off or damaged")


def test_no_way_out_is_named_where_there_is_none(run: Run, tmp_path: Path, make_scene: Any) -> None:
    path = tmp_path / "cut.jpg"
    make_scene(200, 150).save(path)
    path.write_bytes(path.read_bytes()[:200])  # within its tables
    for more in ((), ("--accept-truncated",)):
        assert "--accept-truncated" not in run("encode", path, *more).complaint
    path.write_bytes(b"\xff\xd8\xff")
    assert "--accept-truncated" not in run("compare", path, path).complaint


def test_a_picture_that_is_a_bomb(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (6000, 5000)).save(path)
    assert_refused(run, tmp_path, "encode", path, "--max-pixels", "20M", says="--max-pixels")


def test_a_calo_file_larger_than_allowed(run: Run, coded: Path, tmp_path: Path) -> None:
    assert_refused(run, tmp_path, "decode", coded, tmp_path / "o.png", "--max-pixels", 1000, says="1536")
    assert run("decode", coded, tmp_path / "o.png", "--max-pixels", 1536).status == 0
    assert "max_pixels = 1000" in run("probe", coded, "--max-pixels", 1000).complaint
    assert run("probe", coded, "--max-pixels", 1536).status == 0


def test_a_calo_file_with_more_metadata_than_allowed(run: Run, coded: Path, tmp_path: Path) -> None:
    file = bitstream.parse(coded.read_bytes())
    more = bitstream.Limits(max_metadata=2**25)
    data = bitstream.write(file.header, file.tiles, xmp=bytes(2**24 + 1), limits=more)
    coded.write_bytes(data)
    target = tmp_path / "o.bmp"  # which holds no metadata
    assert_refused(run, tmp_path, "decode", coded, target, says="max_metadata = 16777216")
    assert "max_metadata = 16777216" in run("probe", coded).complaint
    for command in (("probe", coded), ("decode", coded, target)):
        done = run(*command, "--max-metadata", "17MiB")
        assert (done.status, done.err) == (0, "")
    assert Image.open(target).size == (48, 32)


@pytest.mark.parametrize("mode", ["F", "I", "CMYK"])
def test_kinds_that_are_refused(run: Run, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.tif"
    Image.new(mode, (8, 8)).save(path)
    assert_refused(run, tmp_path, "encode", path, says="x.tif: the picture ")


def test_animations_are_refused(run: Run, tmp_path: Path, make_scene: Any) -> None:
    path = tmp_path / "x.gif"
    make_scene().save(path, save_all=True, append_images=[make_scene(seed=1)])
    assert_refused(run, tmp_path, "encode", path, says="2 frames")


def test_unreachable_targets(run: Run, photo: Path, tmp_path: Path) -> None:
    assert_refused(run, tmp_path, "encode", photo, "--target-size", 20, says="cannot reach 20 bytes")


def test_outputs_that_cannot_be(run: Run, photo: Path, tmp_path: Path) -> None:
    assert_refused(run, tmp_path, "encode", photo, tmp_path / "no" / "x.calo", says="x.calo: no such file")
    assert_refused(run, tmp_path, "encode", photo, photo / "x.calo", says="x.calo: not a directory")
    assert_refused(run, tmp_path, "encode", photo, "-o", photo / "deep" / "x.calo", says="not a directory")


def test_outputs_that_pillow_cannot_write(run: Run, coded: Path, tmp_path: Path) -> None:
    assert_refused(run, tmp_path, "decode", coded, tmp_path / "x.docx", says="cannot write .docx")
    assert_refused(run, tmp_path, "decode", coded, "--format", "docx", says="cannot write .docx")
    assert_refused(run, tmp_path, "decode", coded, "-o", tmp_path / "x.calo", says="cannot write .calo")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(run: Run, photo: Path, coded: Path, tmp_path: Path) -> None:
    assert_refused(
        run, tmp_path, "encode", photo, "-o", "/dev/full", says="/dev/full: no space left on device"
    )
    assert_refused(
        run, tmp_path, "decode", coded, "-o", "/dev/full", says="/dev/full: no space left on device"
    )
    assert Path("/dev/full").is_char_device()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that closes streams")
def test_closed_streams(photo: Path, tmp_path: Path) -> None:
    """Files are whole, with nothing in them but the picture, and what could not be said is a fault."""

    def shell(line: str) -> tuple[int, bytes]:
        command = ["sh", "-c", f"{shlex.quote(sys.executable)} -m calotype {line}"]
        done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, timeout=120, check=False)
        return done.returncode, done.stderr

    closed = (1, b"calotype: standard output: bad file descriptor\n")
    assert shell(f"encode {shlex.quote(str(photo))} -o a.calo >&-") == closed
    assert shell("decode a.calo -o a.png <&- >&- 2>&-") == (1, b"")
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), calotype.decode((tmp_path / "a.calo").read_bytes()))
    assert shell("decode - -o b.png <&-") == (
        1,
        b"calotype: standard input: magic at offset 0: not a .calo file: the file is empty\n",
    )
    assert shell("decode a.calo -o - >&-") == (1, b"calotype: a.calo: bad file descriptor\n")
    assert shell("--version >&-") == shell("encode --help >&-") == closed
    shutil.copy(photo, tmp_path / "b.png")
    for output in (">&-", "> /dev/full", "| true"):  # what cannot be said keeps no picture from being made
        folder = tmp_path / "many"
        assert shell(f"encode {shlex.quote(str(photo))} b.png -w 1 -o many/ {output}")[1].count(b"\n") <= 1
        assert sorted(path.name for path in folder.iterdir()) == ["b.calo", "photo.calo"]
        shutil.rmtree(folder)
    (tmp_path / "b.png").unlink()
    assert contents(tmp_path).keys() == {"photo.png", "a.calo", "a.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_disk_that_fills_up_half_way(coded: Path, photo: Path, tmp_path: Path, command: str) -> None:
    """The size of files is limited, so that a write fails after its first part, as on a full disk."""
    source, target = (photo, tmp_path / "o.calo") if command == "encode" else (coded, tmp_path / "o.png")
    target.write_bytes(b"old")
    before = contents(tmp_path)
    script = """
        import resource, sys
        from calotype.cli import main
        sys.dont_write_bytecode = True  # half of it is written, and believed by whoever imports next
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        sys.exit(main(sys.argv[1:]))
    """
    line = [sys.executable, "-c", textwrap.dedent(script), command, str(source), "-o", str(target), "--force"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done
    assert done.stderr == f"calotype: {target}: file too large\n"
    assert contents(tmp_path) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_in_one_file_does_not_stop_the_others(
    run: Run, tmp_path: Path, make_scene: Any, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    from calotype.codec.image import Picture

    for name in ("a.png", "b.png", "c.png"):
        make_scene().save(tmp_path / name)
    make_scene(40, 30).save(tmp_path / "b.png")
    real = Picture.from_pil.__func__  # type: ignore[attr-defined]

    def faulty(cls: type[Picture], image: Image.Image, frame: int | None = None) -> Picture:
        if image.size == (40, 30):
            raise RuntimeError("out of luck")
        picture: Picture = real(cls, image, frame)
        return picture

    monkeypatch.setattr(Picture, "from_pil", classmethod(faulty))
    names = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    outcome = run("encode", *names, "-o", f"{tmp_path}/out/", "--workers", workers)
    assert outcome.status == 1
    assert "b.png: unexpected RuntimeError: out of luck" in outcome.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.calo", "c.calo"]

"""calotype probe, compare and demo."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

import calotype
from calotype.bench.metrics import BASIC
from calotype.codec.ssimulacra2 import ssimulacra2

Run = Callable[..., Any]


def test_probe_prints_every_field(run: Run, coded: Path) -> None:
    done = run("probe", coded)
    assert done.status == 0
    shown = {line.split()[0]: line for line in done.out.splitlines()}
    fields = calotype.probe(coded)
    for name in fields:
        assert name in shown or name == "error"
    assert shown["width"].split()[1] == "48"
    assert shown["pack_id"].split()[1] == fields["pack_id"]
    assert shown["tile"].split()[-1] == "ok"


def test_probe_json(run: Run, coded: Path) -> None:
    (record,) = run("probe", coded, "--json").records
    assert record == {"input": str(coded), **json.loads(json.dumps(calotype.probe(coded)))}
    assert len(run("probe", coded, coded, "--json").records) == 2


def test_probe_describes_a_damaged_file(run: Run, coded: Path) -> None:
    data = bytearray(coded.read_bytes())
    data[-6] ^= 1
    coded.write_bytes(data)
    done = run("probe", coded, "--json")
    assert done.status == 1
    assert done.records[0]["width"] == 48
    assert done.records[0]["error"]["message"]
    assert "photo.calo" in done.complaint


def test_probe_of_a_pipe(process: Callable[..., subprocess.CompletedProcess[bytes]], coded: Path) -> None:
    done = process("probe", "-", "--json", input=coded.read_bytes())
    assert json.loads(done.stdout)["height"] == 32


def test_compare(run: Run, photo: Path, coded: Path, tmp_path: Path) -> None:
    (record,) = run("compare", photo, coded, "--json").records
    a = np.asarray(Image.open(photo)).astype(float)
    b = np.asarray(calotype.open(coded)).astype(float)
    assert record["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((a - b) ** 2)), abs=1e-9)
    assert 0 < record["ms_ssim"] < 1
    assert record["bpp_b"] == pytest.approx(8 * coded.stat().st_size / (48 * 32))
    assert record["bpp_a"] == pytest.approx(8 * photo.stat().st_size / (48 * 32))
    done = run("compare", photo, coded)
    assert f"{record['psnr']:.3f} dB" in done.out
    assert f"{record['ms_ssim']:.5f}" in done.out
    assert record["ssimulacra2"] == ssimulacra2(a.astype(np.uint8), b.astype(np.uint8)) < 100
    assert f"{record['ssimulacra2']:.2f}" in done.out


def test_compare_by_more_metrics(run: Run, photo: Path, coded: Path) -> None:
    (record,) = run("compare", photo, coded, "--json", "--metrics", "psnr_y, nlpd").records
    assert list(record["metrics"]) == ["psnr_y", "nlpd"]
    assert record["metrics"]["psnr_y"]["unit"] == "dB"
    assert (
        f"{record['metrics']['nlpd']['value']:.4f}" in run("compare", photo, coded, "--metrics", "nlpd").out
    )
    assert "unknown metric 'lpips'" in run("compare", photo, coded, "--metrics", "lpips").complaint
    assert "did you mean eyes?" in run("compare", photo, coded, "--metrics", "eyse").complaint


def test_compare_shows_each_measure_once(run: Run, photo: Path, coded: Path) -> None:
    out = run("compare", photo, coded, "--metrics", "ssimulacra2,ms_ssim,psnr_y").out
    names = [line.split("  ")[0] for line in out.splitlines()]
    assert len(names) == len(set(names)) == 6
    (record,) = run("compare", photo, coded, "--json", "--metrics", "ssimulacra2").records
    assert record["metrics"]["ssimulacra2"]["value"] == record["ssimulacra2"]


def test_compare_takes_groups_of_metrics(run: Run, photo: Path, coded: Path) -> None:
    (record,) = run("compare", photo, coded, "--json", "--metrics", "basic,psnr_y,nlpd").records
    assert list(record["metrics"]) == [*BASIC, "nlpd"]


def test_compare_names_the_program_that_a_metric_lacks(
    run: Run, photo: Path, coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    for asked in ("butteraugli", "eyes"):
        complaint = run("compare", photo, coded, "--metrics", asked).complaint
        assert "cannot measure" in complaint
        assert asked == "eyes" or "butteraugli_main" in complaint


def test_compare_equal_pictures(run: Run, photo: Path) -> None:
    (record,) = run("compare", photo, photo, "--json").records
    assert record["identical"] is True
    assert record["psnr"] is None  # JSON has no infinity
    assert "inf dB (identical)" in run("compare", photo, photo).out


def test_compare_as_shown(run: Run, photo: Path, tmp_path: Path) -> None:
    """A picture that is stored turned, with its tag, equals the upright one."""
    fields = Image.Exif()
    fields[ExifTags.Base.Orientation] = 6
    Image.open(photo).rotate(90, expand=True).save(tmp_path / "turned.png", exif=fields)
    assert "identical" in run("compare", photo, tmp_path / "turned.png").out


def test_compare_pictures_of_different_size(run: Run, photo: Path, tmp_path: Path, make_scene: Any) -> None:
    make_scene(32, 48).save(tmp_path / "other.png")
    complaint = run("compare", photo, tmp_path / "other.png").complaint
    assert "48 x 32" in complaint
    assert "32 x 48" in complaint


def test_compare_says_what_it_leaves_out(run: Run, photo: Path, tmp_path: Path, make_scene: Any) -> None:
    image = make_scene()
    image.putalpha(9)
    image.save(tmp_path / "alpha.png")
    (record,) = run("compare", photo, tmp_path / "alpha.png", "--json").records
    assert record["notes"] == ["alpha is not compared"]


def test_demo(run: Run, tmp_path: Path, make_scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_scene(320, 240).save("scene.png")
    (report,) = run("demo", "scene.png", "--json").records
    assert [codec["codec"] for codec in report["codecs"]][:2] == ["Calotype", "JPEG"]
    files = sorted(path.name for path in Path("calotype-demo").iterdir())
    assert sorted(Path(name).name for name in report["files"]) == files
    assert {"scene.calo", "scene.calo.png", "scene.jpg", "comparison.png"} <= set(files)
    for codec, suffix in zip(report["codecs"], ("calo", "jpg", "avif")):
        assert codec["bytes"] == Path(f"calotype-demo/scene.{suffix}").stat().st_size
    (measured,) = run("compare", "scene.png", "calotype-demo/scene.calo", "--json").records
    assert report["codecs"][0]["psnr"] == pytest.approx(measured["psnr"])
    decoded = Image.open("calotype-demo/scene.calo.png")
    assert np.array_equal(np.asarray(decoded), np.asarray(calotype.open("calotype-demo/scene.calo")))
    assert Image.open("calotype-demo/comparison.png").width > 640
    done = run("demo", "scene.png")  # a second time: nothing is overwritten
    assert done.status == 0
    assert "Calotype" in done.out
    assert Path("calotype-demo-2/comparison.png").exists()
    assert "exists" in run("demo", "scene.png", "-o", "calotype-demo").complaint


def test_the_bundled_photograph_is_there_and_has_a_licence() -> None:
    from calotype.cli.demo import PHOTO

    assert Image.open(PHOTO).size == (1152, 648)
    assert PHOTO.name in (PHOTO.parent / "LICENSES.md").read_text()


def test_the_rival_of_the_nearest_size() -> None:
    from calotype.cli.rivals import nearest

    sizes = {setting: 100 * setting for setting in range(1, 96)}
    for wanted, expected in [(1, 1), (149, 1), (151, 2), (4321, 43), (9500, 95), (99999, 95)]:
        assert nearest(lambda setting: bytes(sizes[setting]), wanted, 95)[0] == expected


def test_the_sheet_shows_the_busiest_part() -> None:
    from calotype.cli.sheet import busiest

    pixels = np.zeros((1000, 1500, 3), np.uint8)
    pixels[600:900, 1000:1400] = np.random.default_rng(0).integers(0, 256, (300, 400, 1), np.uint8)
    left, top = busiest(pixels)
    assert left <= 1000
    assert left + 480 >= 1400
    assert top <= 600
    assert top + 360 >= 900
    assert busiest(pixels[:20, :30]) == (0, 0)


def test_compare_leaves_out_what_no_one_sees(run: Run, tmp_path: Path, make_scene: Any) -> None:
    """Colours under transparent pixels are not those of the original, and count for nothing."""
    image = make_scene(120, 90)
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 30:90] = 255
    pixels = np.where(mask[..., None] > 0, np.asarray(image), 255)
    Image.fromarray(np.dstack([pixels, mask]).astype(np.uint8)).save(tmp_path / "a.png")
    assert run("encode", tmp_path / "a.png", "-q", 80).status == 0
    (record,) = run("compare", tmp_path / "a.png", tmp_path / "a.calo", "--json").records
    assert record["psnr"] > 30

"""The report: one page without outside parts whose numbers are those of the results, and figures."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from calotype.bench import bdrate, report, results
from calotype.bench.errors import BenchError
from calotype.bench.measure import next_quality
from calotype.bench.report import page
from calotype.bench.report.curves import Table, bd_tables
from calotype.bench.report.published import KODAK, published_curves
from calotype.bench.report.style import styles
from calotype.bench.runner import Settings, run

LADDER = {"jpeg-420": (10, 30, 50, 70, 90), "webp": (10, 30, 50, 70, 90)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two codecs on two pictures, with a failure whose text is hostile to HTML."""
    from PIL import Image
    from tests.bench.conftest import scene

    base = tmp_path_factory.mktemp("report")
    for name, seed in (("a", 1), ("b", 2)):
        Image.fromarray(scene(192, 256, seed)).save(base / f"{name}.png")
    (base / "evil.py").write_text(
        "from calotype.bench.codecs.webp import Webp\n"
        "class Evil(Webp):\n"
        "    name = '<b>evil</b>'\n"
        "    def encode(self, image, quality): raise ValueError('</script><script>alert(1)</script>')\n"
        "CODECS = [Evil()]\n"
    )
    codecs = ("jpeg-420", "webp", str(base / "evil.py"))
    settings = Settings(out=base / "run", codecs=codecs, qualities=LADDER, picture_bpp=0.8, timing_repeats=1)
    run([base / "a.png", base / "b.png"], settings)
    return base / "run"


def data_of(path: Path) -> dict:
    text = path.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_page_and_figures(folder: Path) -> None:
    written = report.build(folder, anchor="jpeg-420")
    names = sorted(p.name for p in written)
    assert names[:2] == ["rd-ms_ssim.pdf", "rd-ms_ssim.png"]
    assert {"report.html", "speed-decode.pdf", "speed-encode.png", "rd-psnr_rgb.png"} <= set(names)
    for path in written:
        head = path.read_bytes()[:8]
        assert head.startswith((b"\x89PNG", b"%PDF", b"<!DOCTYP")), path
    text = (folder / "report.html").read_text("utf-8")
    # Plotly names addresses that it never loads.
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"']?(?!#|data:)[a-z/]", outside)
    assert "%%" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "<script>alert(1)" not in text
    data = data_of(folder / "report.html")
    assert data["anchor"] == "jpeg-420"
    assert any("alert(1)" in f["message"] for f in data["failures"])
    assert [p["image"] for p in data["pictures"]] == ["a.png", "b.png"]
    assert [v["name"] for v in data["pictures"][0]["versions"]] == ["original", "jpeg-420", "webp"]
    for version in data["pictures"][0]["versions"][1:]:
        assert abs(math.log(version["bpp"] / 0.8)) < 0.2
    assert {(s["codec"], s["threads"]) for s in data["speed"]} == {
        (c, t) for c in ("jpeg-420", "webp") for t in ("1", "all")
    }


def test_bd_rates_are_those_of_the_harness(folder: Path) -> None:
    found = results.read(folder)
    tables = bd_tables(Table(found), {})
    for image in ("a.png", "b.png", None):
        curves = {}
        for codec in ("jpeg-420", "webp"):
            points = {}
            for m in found["measurements"]:
                if m["codec"] == codec and image in (m["image"], None):
                    points.setdefault(m["quality"], []).append((m["bpp"], m["metrics"]["ms_ssim"]))
            means = [tuple(sum(v) / len(v) for v in zip(*p)) for p in points.values()]
            curves[codec] = bdrate.Curve([r for r, _ in means], [-10 * math.log10(1 - s) for _, s in means])
        expected = bdrate.bd_rate(curves["jpeg-420"], curves["webp"])
        entry = tables["ms_ssim"]["jpeg-420"]["webp"]
        given = entry["mean"]["rate"] if image is None else entry["images"][image]
        assert given == pytest.approx(expected.value, rel=1e-5)
        if image is None:
            assert entry["mean"]["low"] == pytest.approx(expected.low, rel=1e-5)
    entry = tables["psnr_rgb"]["jpeg-420"]["webp"]
    assert entry["average"] == pytest.approx(sum(entry["images"].values()) / 2, rel=1e-5)
    assert tables["psnr_rgb"]["webp"]["webp"]["mean"]["rate"] == pytest.approx(0, abs=1e-9)


def test_picture_with_a_failed_point_is_left_out_of_means(folder: Path) -> None:
    found = results.read(folder)
    found["measurements"] = [
        m for m in found["measurements"] if (m["codec"], m["image"], m["quality"]) != ("webp", "a.png", 50)
    ]
    table = Table(found)
    assert table.complete("webp") == ["b.png"]
    assert table.mean_curve("webp") == table.image_curve("webp", "b.png")
    entry = bd_tables(table, {})["psnr_rgb"]["jpeg-420"]["webp"]
    assert entry["n"] == 1
    assert entry["mean"]["rate"] == pytest.approx(entry["images"]["b.png"])
    assert entry["sd"] is None


def test_speed_without_a_timing_pass_uses_processor_time(folder: Path) -> None:
    found = results.read(folder)
    found["timing"] = []
    rows = page.speed(found)
    assert {r["codec"]: r["clock"] for r in rows} == {"jpeg-420": "cpu_seconds", "webp": "cpu_seconds"}


def test_anchor(folder: Path) -> None:
    with pytest.raises(BenchError, match="anchor 'vtm' is not in this run"):
        report.build(folder, anchor="vtm")
    assert page.choose_anchor(results.read(folder), [], None) == "webp"


def test_published_curves_only_for_all_of_kodak() -> None:
    assert published_curves(["kodim01.png", "kodim02.png"]) == {}
    found = published_curves([f"{name}.png" for name in KODAK])
    assert "ref:vtm" in found
    for name, published in found.items():
        assert published.source, name
        assert len(published.curve.bpp) == len(next(iter(published.curve.values.values())))


def test_colours_are_stable_and_distinct() -> None:
    made = styles({"jpeg-420": "jpeg", "jpeg-444": "jpeg", "x": "new", "y": "newer", "calotype": "calotype"})
    assert made["jpeg-420"]["color"] == made["jpeg-444"]["color"]
    assert made["jpeg-420"]["dash"] != made["jpeg-444"]["dash"]
    assert made["x"]["color"] != made["y"]["color"]
    assert made["calotype"]["width"] > made["x"]["width"]


@pytest.mark.parametrize(
    ("law", "low", "high"), [(lambda q: 0.02 * 1.05**q, 0, 100), (lambda q: 4 * 0.9**q, 63, 0)]
)
def test_search_for_a_rate_finds_the_nearest_setting(law, low: float, high: float) -> None:  # type: ignore[no-untyped-def]
    for bpp in (0.1, 0.25, 0.77):
        known = {q: law(q) for q in (low, high)}
        for _ in range(20):
            quality = next_quality(known, bpp, 1)
            if quality in known:
                break
            known[quality] = law(quality)
        best = min(known, key=lambda q: abs(known[q] - bpp))
        assert best == min(range(101), key=lambda q: abs(law(q) - bpp))


def test_search_outside_what_is_known_stays_at_the_end() -> None:
    assert next_quality({10: 0.5, 20: 1.0}, 0.1, 1) == 10
    assert next_quality({10: 0.5, 20: 1.0}, 3.0, 0) == 20
    assert next_quality({1.0: 0.5, 2.0: 2.0}, 1.0, 0) == pytest.approx(1.5)

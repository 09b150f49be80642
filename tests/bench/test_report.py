"""The report: one page without outside parts whose numbers are those of the results, and figures."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import re
import shutil
import warnings
from pathlib import Path

import pytest
from PIL import Image

from calotype.bench import bdrate, publish, report, results, tables
from calotype.bench.errors import BenchError
from calotype.bench.measure import next_quality
from calotype.bench.report import figures, page
from calotype.bench.report.curves import Table, bd_tables
from calotype.bench.report.pictures import Look, gather
from calotype.bench.report.published import KODAK, published_curves
from calotype.bench.report.style import styles
from calotype.bench.runner import Settings, run

LADDER = {"jpeg-420": (10, 30, 50, 70, 90), "webp": (10, 30, 50, 70, 90)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two codecs on two pictures, with a failure whose text is hostile to HTML."""
    from PIL import Image
    from tests.bench.conftest import in_this_process, scene

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
    more = {"picture_bpp": (0.8,), "timing_repeats": 1}
    settings = Settings(out=base / "run", codecs=codecs, qualities=LADDER, **more)
    with in_this_process():
        run([base / "a.png", base / "b.png"], settings)
    return base / "run"


@pytest.fixture(scope="module")
def built(folder: Path) -> list[Path]:
    """The report of that run, against JPEG: what was written."""
    return report.build(folder, anchor="jpeg-420")


def data_of(path: Path) -> dict:
    """What the page unpacks and shows."""
    text = path.read_text("utf-8")
    parts = dict(re.findall(r'<script type="[a-z/]+" id="(\w+)">(.*?)</script>', text, re.DOTALL))
    data = json.loads(gzip.decompress(base64.b64decode(parts["data"])))
    assert b"plotly.js" in gzip.decompress(base64.b64decode(parts["plotly"]))[:300]
    return {**data, "pictures": json.loads(parts["pictures"])}


def test_page_and_figures(folder: Path, built: list[Path]) -> None:
    names = sorted(p.name for p in built)
    assert names[:2] == ["rd-ms_ssim.pdf", "rd-ms_ssim.png"]
    assert {"report.html", "speed-decode.pdf", "speed-encode.png", "rd-psnr_rgb.png"} <= set(names)
    for path in built:
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
    sets = data["pictures"]["sets"]
    assert [(s["image"], s["wanted"]) for s in sets] == [("a.png", 0.8), ("b.png", 0.8)]
    assert [v["name"] for v in sets[0]["versions"]] == ["jpeg-420", "webp"]
    assert set(data["pictures"]["originals"]) == {"a.png", "b.png"}
    for version in sets[0]["versions"]:
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


@pytest.mark.usefixtures("no_workers")
def test_run_in_which_everything_failed(tmp_path: Path, bad_codecs: Path, pictures: Path) -> None:
    settings = Settings(
        out=tmp_path / "run",
        codecs=(f"{bad_codecs}:raises", f"{bad_codecs}:none"),
        qualities={"*": (2,)},
        metrics=("psnr_rgb",),
    )
    found = run([pictures], settings)
    assert not found["measurements"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report.build(tmp_path / "run")
    entry = bd_tables(Table(found), {})["psnr_rgb"]["raises"]["none"]
    assert (entry["n"], entry["mean"], entry["images"]) == (0, None, {})
    assert data_of(tmp_path / "run" / "report.html")["pictures"] == {
        "sets": [],
        "originals": {},
        "told": "stored here without loss",
        "lost": 0,
    }


def test_pictures_in_the_page_are_small_and_their_loss_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "run")  # the report of the other tests stays
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])
    report.build(tmp_path / "run", look=Look((64, 48), 80))
    in_the_page = data_of(tmp_path / "run" / "report.html")["pictures"]
    found, sizes = results.read(folder), {}
    for name, look in (
        ("lossless", Look((64, 48), None)),
        ("lossy", Look((64, 48), 80)),
        ("large", Look(quality=80)),
    ):
        given = gather(folder, found, look)
        sizes[name] = sum(len(v["src"]) for s in given["sets"] for v in s["versions"])
        first = given["sets"][0]
        assert (first["width"], first["height"]) == ((256, 192) if name == "large" else (64, 48))
        shown = Image.open(io.BytesIO(base64.b64decode(first["versions"][0]["src"].split(",")[1])))
        assert shown.size == (first["width"], first["height"])
        if name == "lossless":
            assert given["told"] == "stored here without loss"
            whole = Image.open(folder / results.read(folder)["pictures"][0]["file"]).convert("RGB")
            assert shown.convert("RGB").tobytes() == whole.crop((96, 72, 160, 120)).tobytes()
        else:
            assert (given == in_the_page) == (name == "lossy")
            told = re.search(r"at quality 80 .* PSNR ([\d.]+) dB or more", given["told"])
            assert told is not None
            assert 30 < float(told[1]) < 60
    assert sizes["lossy"] < sizes["lossless"]
    assert sizes["lossy"] < sizes["large"]


@pytest.mark.usefixtures("built")
def test_publish_takes_what_is_shown_and_writes_the_documents(folder: Path, tmp_path: Path) -> None:
    target, document = tmp_path / "small", tmp_path / "README.md"
    document.write_text("<!-- table:small -->\n<!-- end -->\n<!-- command:small -->\n<!-- end -->\n")
    (target / "figures").mkdir(parents=True)
    (target / "figures" / "old.png").write_text("of an earlier run")
    assert publish.main([str(folder), str(target), str(document)]) == 0
    names = {p.name for p in target.rglob("*") if p.is_file()}
    assert {"results.json", "timing.csv", "rd-psnr_rgb.pdf", "speed-decode.png"} <= names
    assert not names & {"journal.jsonl", "old.png", "report.html"}
    text = document.read_text()
    assert "| webp |" in text
    assert tables.command(folder) in text
    assert publish.main([str(tmp_path), str(target)]) == 1


def test_speed_without_a_timing_pass_uses_processor_time(folder: Path) -> None:
    found = results.read(folder)
    found["timing"] = []
    rows = page.speed(found)
    assert {r["codec"]: r["clock"] for r in rows} == {"jpeg-420": "cpu_seconds", "webp": "cpu_seconds"}


def test_anchor(folder: Path) -> None:
    with pytest.raises(BenchError, match=r"anchor 'vtm' is not in this run.*--reference"):
        report.build(folder, anchor="vtm")
    assert page.choose_anchor(results.read(folder), [], None) == "webp"


def test_published_curves_only_for_all_of_kodak() -> None:
    assert published_curves(["kodim01.png", "kodim02.png"]) == {}
    wanted = published_curves(["a.png"], "clic-professional-valid")
    assert wanted
    assert all(p.label.endswith("(on clic-professional-valid)") for p in wanted.values())
    with pytest.raises(BenchError, match=r"no published curves of 'kodac'; there are .*kodak"):
        published_curves(["a.png"], "kodac")
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

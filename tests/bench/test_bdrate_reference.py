"""The reference curves, and BD-rates between them that the literature knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calotype.bench.bdrate import bd_rate
from calotype.bench.reference import ReferenceCurve as Reference
from calotype.bench.reference import load_reference, reference_datasets, reference_names, regenerate

KODAK = "kodak"
CLIC = "clic-professional-valid"

# Percent against VTM and against BPG 4:4:4 (both as CompressAI published them), PSNR, PCHIP, whole common
# range. ELIC and TCM large against VTM are the values of the table of LALIC (CVPR 2025).
KNOWN = {
    "paper-elic2022_mse": (-7.02, -26.58),
    "tcm-large": (-11.73, None),
    "tcm-middle": (-9.11, None),
    "tcm-small": (-6.69, None),
    "paper-minnen2020-cc10_mse": (1.11, -20.53),
    "paper-cheng2020-parallel_mse": (4.08, -18.93),
    "paper-cheng2020-checkerboard-6M_mse": (3.91, -19.09),
    "paper-cheng2020-checkerboard-1M_mse": (8.81, -15.35),
    "paper-mbt2018": (11.03, -9.38),
    "paper-minnen2018-parallel_mse": (20.23, -6.48),
    "paper-minnen2018-checkerboard_mse": (19.00, -7.42),
    "paper-mbt2018-mean": (16.38, -4.67),
    "paper-bmshj2018-hyperprior": (33.97, 6.55),
    "paper-bmshj2018-factorized": (65.84, 31.08),
    "compressai-bmshj2018-factorized_mse_cuda": (68.10, 32.55),
    "compressai-bmshj2018-hyperprior_mse_cuda": (30.49, 3.93),
    "compressai-mbt2018-mean_mse_cuda": (21.28, -3.28),
    "compressai-mbt2018_mse_cuda": (11.02, -11.25),
    "compressai-cheng2020-anchor_mse_cuda": (3.68, -18.89),
    "compressai-cheng2020-attn_mse_cuda": (5.51, -17.58),
    "bpg_444_x265_ycbcr": (21.99, None),
    "hm": (23.31, None),
    "av1": (16.18, None),
    "webp": (78.75, None),
    "jpeg2000": (97.97, None),
    "jpeg": (208.49, None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_bd_rates_on_kodak(name: str) -> None:
    test = load_reference(name).curve()
    against_vtm, against_bpg = KNOWN[name]
    assert bd_rate(load_reference("vtm").curve(), test).value == pytest.approx(against_vtm, abs=0.02)
    if against_bpg is not None:
        assert bd_rate(load_reference("bpg_444_x265_ycbcr").curve(), test).value == pytest.approx(
            against_bpg, abs=0.02
        )


@pytest.mark.parametrize(("size", "known"), [("large", -11.97), ("middle", -10.61), ("small", -9.38)])
def test_known_bd_rates_on_clic(size: str, known: float) -> None:
    anchor, test = load_reference("vtm-12.1", CLIC), load_reference(f"tcm-{size}", CLIC)
    assert bd_rate(anchor.curve(), test.curve()).value == pytest.approx(known, abs=0.02)


def test_small_differences_between_siblings() -> None:
    def between(anchor: str, test: str) -> float:
        return bd_rate(load_reference(anchor).curve(), load_reference(test).curve()).value

    assert between("paper-minnen2018-parallel_mse", "paper-minnen2018-checkerboard_mse") == pytest.approx(
        -0.99, abs=0.01
    )
    assert between("paper-cheng2020-parallel_mse", "paper-cheng2020-checkerboard-6M_mse") == pytest.approx(
        -0.19, abs=0.01
    )


@pytest.mark.parametrize(("name", "known"), [("paper-elic2022_mse", -7.17), ("tcm-large", -12.09)])
def test_the_old_cubic_gives_other_numbers(name: str, known: float) -> None:
    result = bd_rate(load_reference("vtm").curve(), load_reference(name).curve(), method="cubic")
    assert result.value == pytest.approx(known, abs=0.02)


def every_curve() -> list[Reference]:
    return [
        load_reference(name, dataset) for dataset in reference_datasets() for name in reference_names(dataset)
    ]


def test_every_curve_is_sound() -> None:
    curves = every_curve()
    assert len(curves) > 150
    for c in curves:
        assert c.source, c.name
        assert c.kind in ("published-classical", "published-learned", "measured")
        assert c.bpp == sorted(c.bpp)
        assert 0 < c.bpp[0] < c.bpp[-1] < 10
        assert c.metrics
        lists = [*c.metrics.values(), *(x for x in (c.quality, c.encode_s, c.decode_s) if x)]
        assert {len(x) for x in lists} == {len(c.bpp)}, c.name
        assert all(15 < v < 60 for v in c.metrics.get("psnr_rgb", ()))
        assert all(0.5 < v < 1 for v in c.metrics.get("ms_ssim", ()))


def test_ms_ssim_serves_on_the_db_scale() -> None:
    curve = load_reference("vtm").curve("ms_ssim")
    assert curve.quality[0] == pytest.approx(8.5576, abs=1e-4)
    with pytest.raises(KeyError, match="has no vmaf"):
        load_reference("vtm").curve("vmaf")


def test_names_can_be_found() -> None:
    assert "vtm" in reference_names(KODAK, "published-classical")
    assert "jpeg_444" in reference_names(kind="measured")
    assert "vtm" not in reference_names(kind="measured")
    with pytest.raises(KeyError, match="tcm-large"):
        load_reference("tcm")
    with pytest.raises(KeyError, match="data sets: clic"):
        load_reference("vtm", "imagenet")


def test_regenerating(tmp_path: Path) -> None:
    published = {
        "codec": "vtm",
        "name": "VTM",
        "dataset": "set",
        "kind": "published-classical",
        "source": "a file",
        "bpp": [0.5, 0.25],
        "psnr_rgb": [33.0, 30.1234567],
        "ms_ssim": [0.99, 0.9],
        "ms_ssim_db": None,
        "enc_s": [2.0, 1.0],
    }
    point = {
        "q": 3,
        "n": 24,
        "bpp": 1.0,
        "psnr_rgb": 30.0,
        "psnr_y": 31.0,
        "ms_ssim": 0.9,
        "ms_ssim_db_of_mean": 10.0,
    }
    point |= {"enc_cpu_median": 0.1, "dec_cpu_median": float("nan"), "images": {"a": {}}}
    meta = {"lib": "lib 1", "settings": "slow", "bpp": "whole file"}
    measured = {"jpeg": {"codec": "jpeg", "dataset": "set", "meta": meta, "points": [point]}}
    (tmp_path / "published.json").write_text(json.dumps([published]))
    (tmp_path / "measured.json").write_text(json.dumps(measured))
    regenerate.main(tmp_path, tmp_path / "curves.json")
    curves = json.loads((tmp_path / "curves.json").read_text("utf-8"))["curves"]
    vtm, jpeg = (next(c for c in curves if c["dataset"] == "set" and c["name"] == n) for n in ("vtm", "jpeg"))
    assert vtm["bpp"] == [0.25, 0.5]
    assert vtm["metrics"] == {
        "psnr_rgb": [30.12346, 33.0],
        "ms_ssim": [0.9, 0.99],
        "ms_ssim_db": [10.0, 20.0],
    }
    assert vtm["encode_s"] == [1.0, 2.0]
    assert "QP 47" in vtm["note"]
    assert jpeg["quality"] == ["3"]
    assert "decode_s" not in jpeg
    assert "images" not in jpeg

"""The counts that others published of JPEG AI's decoders come out, where they can."""

from __future__ import annotations

import pytest
import torch

from calotype.lab.models import jpegai, jpegai2023
from studies.jpegai.complexity import decoder_kmacs, kmacs


@pytest.mark.parametrize(
    ("point", "luma", "chroma", "total", "ptflops"),
    [
        pytest.param("hop", "131.18", "14.33", "145.51", "191.9", marks=pytest.mark.slow),
        ("bop", "8.60", "2.62", "11.22", "17.1"),
        ("sop", "3.57", "0.70", "4.28", "4.3"),
    ],
)
def test_cost_of_decoders(point: str, luma: str, chroma: str, total: str, ptflops: str) -> None:
    with torch.device("meta"):
        counts, first = decoder_kmacs(jpegai.JpegAISynthesis(point, 160, 48, True, 1), 208)
    assert f"{first:.2f}" == luma
    assert f"{counts['exact'] - first:.2f}" == chroma
    assert f"{counts['exact']:.2f}" == total
    assert f"{counts['ptflops']:.1f}" == ptflops


@pytest.mark.parametrize(
    ("latents", "biases", "ptflops"),
    [
        ((160, 96), "833.5", "910.4"),
        pytest.param((128, 64), "830.9", "907.1", marks=pytest.mark.slow),
        pytest.param((192, 64), "834.2", "911.3", marks=pytest.mark.slow),
    ],
)
def test_cost_of_the_baseline(latents: tuple[int, int], biases: str, ptflops: str) -> None:
    with torch.device("meta"):
        model = jpegai2023.JpegAI2023Synthesis(*latents, (128, 64), jpegai2023.Design())
    counts, _ = decoder_kmacs(model, sum(latents))
    assert f"{counts['biases']:.1f}" == biases
    assert f"{counts['ptflops']:.1f}" == ptflops


@pytest.mark.slow
def test_cost_of_the_baselines_branches() -> None:
    """Luma 782.6 and chroma 51.0 with biases; luma alone with 128 latents is 852.8 by ptflops."""

    def luma(latents: int, rule: str) -> str:
        with torch.device("meta"):
            branch = jpegai2023.synthesis(latents, 128, 1, 4, jpegai2023.Design())
        y = torch.empty(1, latents, 16, 16, device="meta")
        return f"{kmacs(branch, lambda twin: twin(y), 65536)[rule]:.1f}"

    assert luma(160, "biases") == "782.6"
    assert luma(128, "ptflops") == "852.8"
    with torch.device("meta"):
        whole, _ = decoder_kmacs(jpegai2023.JpegAI2023Synthesis(160, 96, (128, 64), jpegai2023.Design()), 256)
    assert round(whole["biases"] - 782.56, 1) == 51.0

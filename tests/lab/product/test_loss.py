"""What a pack loses by computing in integers is measured, and too much is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from calotype.bench.bdrate import Curve, bd_rate
from calotype.lab.export import ExportError, Statistics, export
from calotype.lab.models.calotype import Calotype
from calotype.lab.pack import loss

from .conftest import photograph

RATES = np.array([0.1, 0.2, 0.5, 1.1, 2.0])
QUALITIES = np.array([25.0, 27.1, 30.2, 34.3, 37.5])


def test_equal_curves_lose_nothing() -> None:
    assert loss.more_rate((RATES, QUALITIES), (RATES, QUALITIES)) == 0
    assert loss.more_rate((RATES, QUALITIES), (1.25 * RATES, QUALITIES)) == pytest.approx(25)


@pytest.mark.parametrize("lost", [0.005, 0.02, 0.1])
def test_it_is_the_rate_of_the_benchmark(lost: float) -> None:
    """Within a twentieth, for curves as near to each other as these are."""
    worse = QUALITIES - lost * np.array([1, 0.7, 1.2, 0.8, 1.5])
    known = bd_rate(Curve(list(RATES), list(QUALITIES)), Curve(list(RATES), list(worse))).value
    assert loss.more_rate((RATES, QUALITIES), (RATES, worse)) == pytest.approx(known, rel=0.05)
    assert known > 0


@pytest.mark.parametrize("spoilt", [QUALITIES[::-1], QUALITIES + 30, np.full(5, 27.0)])
def test_curves_that_cannot_be_compared(spoilt: np.ndarray) -> None:
    assert loss.more_rate((RATES, QUALITIES), (RATES, spoilt)) == math.inf


@pytest.mark.slow
def test_a_pack_of_harmed_calibration_is_refused(
    started: Calotype, calibration: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    """Units that were chosen on black pictures alone; those chosen on photographs pass.  So thin a model
    loses more than one that is worth shipping.
    """
    pictures = np.stack([photograph(128, 128, 50 + k) for k in range(2)])
    given = {"pictures": torch.from_numpy(pictures).permute(0, 3, 1, 2), "most": 3.0}
    export(started, Statistics(), tmp_path / "good", calibration=calibration, **given)
    record = json.loads((tmp_path / "good" / "manifest.json").read_text())["training"]["integer_loss"]
    assert record["pictures"] == 2
    assert 0 < record["percent"] < 3

    dark = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 * 0.05
    black = dark, torch.zeros(2)
    with pytest.raises(ExportError, match=r"integers cost [\d.]+ % of rate on 2 pictures, and may cost 3 %"):
        export(started, Statistics(), tmp_path / "harmed", calibration=black, **given)
    assert not (tmp_path / "harmed").exists()

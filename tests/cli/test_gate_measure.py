"""What the gate measures, and what its history holds; who passes is in ``test_gate.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calotype.bench import gate, gate_measure, gate_ship
from calotype.codec import library, manifest


def test_the_ratio_of_times_withstands_a_busy_machine() -> None:
    rng = np.random.default_rng(0)
    busy = 1 + 3 * (rng.random((25, 4)) < 0.3)  # slows both of a pair
    new, old = 1.02 * busy, 1.0 * busy
    new[:8] *= 5  # and something hits one of them alone
    low, middle, high = gate_measure.ratios(new, old)
    assert (low, middle) == pytest.approx((1.02, 1.02))
    assert high == pytest.approx(5.1)


def test_both_bd_rates_of_a_set() -> None:
    """One picture needs ten times the bits of the other: it decides the mean curve, not the mean."""
    likeness = np.linspace(28, 42, 8)
    rates = np.geomspace(0.1, 1, 8)
    old = np.stack([np.stack([k * rates, likeness], -1) for k in (1, 10)])
    new = old * [[[0.5, 1]], [[1.1, 1]]]
    gain = gate_measure.compare(new, old)
    assert gain["bd_rate_per_image"] == pytest.approx((-50 + 10) / 2, abs=0.01)
    assert gain["bd_rate"] == pytest.approx(100 * (0.5 + 11) / 11 - 100, abs=0.01)
    assert gain["range"] == [28, 42]
    assert gate_measure.compare(new + np.array([0, 100]), old)["bd_rate"] is None


def test_two_folders_of_one_name_are_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / images.name).mkdir()
    with pytest.raises(ValueError, match=f"two folders of pictures are called {images.name}"):
        gate_measure.read_sets([images, tmp_path / images.name])


def test_every_shipped_pack_is_in_the_history() -> None:
    entries = gate_ship.read(gate.default_history())
    ids = [entry["id"] for entry in entries]
    assert len(set(ids)) == len(ids)
    shipped = [
        manifest.parse(path.read_bytes(), str(path)) for path in gate.SHIPPED.parent.glob("*/manifest.json")
    ]
    assert len(shipped) == len(library.TUNES)
    for pack in shipped:
        entry = next(e for e in entries if e["id"] == pack.id)
        assert (entry["name"], entry["training"]) == (pack.name, pack.training)
        assert entry["metric"] == gate.METRICS[pack.distortion]
    for number, entry in enumerate(entries):
        for name, measured in gate_ship.sets(entry).items():
            assert name
            assert measured["count"] > 0
            rates = [bpp for _, bpp, _ in measured["curve"]]
            assert rates == sorted(rates)
        assert bool(gate_ship.sets(entry)) == ("metric" in entry)
        for earlier in (entry.get("re_export_of"), (entry.get("against") or {}).get("id")):
            assert earlier is None or earlier in ids[:number]

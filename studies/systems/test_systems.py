"""What systems cost: one is measured, the pages are what is stored and what the registry gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from calotype.lab import registry
from calotype.lab.models.base import LabModel
from studies.systems.__main__ import PARTS, PRODUCT, counted, main
from studies.systems.page import page
from studies.systems.rates import page as rates
from studies.systems.rates import ways

FOLDER = Path(__file__).parent


@pytest.mark.slow
def test_the_pages_are_what_the_results_give(tmp_path: Path) -> None:
    record = json.loads((FOLDER / "results.json").read_text())
    assert (FOLDER / "results.md").read_text() == page(record)
    assert (FOLDER / "rates.md").read_text() == rates(record)
    found = [s["system"] for s in record["systems"]]
    assert found == [name for name in (*registry.names(LabModel), PRODUCT) if name in found]
    assert PRODUCT in found
    (tmp_path / "results.json").write_text(json.dumps(record))
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "results.md").read_text() == page(record)


def test_what_is_stored_is_kept(tmp_path: Path) -> None:
    """And what is measured now stands there with its own commit and machine."""
    record = json.loads((FOLDER / "results.json").read_text())
    record["systems"] = [s for s in record["systems"] if s["system"] != PRODUCT]
    (tmp_path / "results.json").write_text(json.dumps(record))
    row = {**counted(PRODUCT), "commit": "abc", "processor": "P"}
    row |= {part: {"seconds": 1.0, "peak_mib": 9.0} for part in ("encode", "decode")}
    (tmp_path / f"{PRODUCT}.json").write_text(json.dumps(row))
    picture = tmp_path / "a.png"
    Image.new("RGB", (256, 256)).save(picture)
    assert main(["measure", "--picture", str(picture), "--out", str(tmp_path), "--only", PRODUCT]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["systems"] == [*record["systems"], row]
    assert found["commit"] == record["commit"]
    assert "Since then, at `abc` on P: `calotype`." in " ".join(page(found).split())


@pytest.mark.parametrize("name", ["balle2017", "minnen2018-autoregressive"])
def test_counts_are_those_of_the_registry(name: str) -> None:
    """Known numbers: SYSTEMS.md, tests/lab/test_counts.py."""
    record = json.loads((FOLDER / "results.json").read_text())
    found = next(s for s in record["systems"] if s["system"] == name)
    assert found["parameters"] == {"balle2017": 1_774_979, "minnen2018-autoregressive": 14_130_467}[name]
    assert found["kmacs"] > found["kmacs_decoding"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the largest size is Linux's")
def test_one_system_is_measured() -> None:
    """In a process of its own: one that has run other tests has memory to spare, and takes no more."""
    script = f"""if True:
        import json, sys
        import numpy as np
        sys.path.insert(0, {str(FOLDER.parents[1])!r})
        from studies.systems.__main__ import measure_one
        print(json.dumps(measure_one("balle2017", np.zeros((64, 64, 3), np.uint8))))
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["parts"] is None
    assert found["bytes"] > 0
    for part in ("encode", "decode"):
        assert found[part]["seconds"] > 0
        assert found[part]["peak_mib"] > 4 * found["parameters"] / 2**20  # the weights at least


@pytest.mark.slow
def test_ways_to_a_rate() -> None:
    found = {w.system: w for w in ways()}
    assert found["minnen2018-mean-scale"].weights == 8 * 7_028_003
    assert found["toderici2016"].weights == 35_456_800
    assert found["toderici2016"].all == pytest.approx(16 * 721.552, rel=1e-4)
    assert found["toderici2016"].one == pytest.approx(found["toderici2016"].all / 2)
    assert found["calotype"].all < 2 * found["calotype"].one
    assert PARTS < 16

"""Results say where they come from, and nothing of the machine's folders."""

from __future__ import annotations

import datetime
import json
import platform
from importlib import metadata
from pathlib import Path

import pytest

from calotype.records.provenance import provenance, shown

RESULTS = Path(__file__).parents[2] / "docs" / "results"
STORED = ("effort.json",)


def test_says_what_was_run_where_and_with_what() -> None:
    made = provenance(["calotype", "bench", "/somewhere/kodak", "--out", "results"])
    assert made["command"] == "calotype bench kodak --out results"
    assert made["hardware"]["python"] == platform.python_version()
    assert made["hardware"]["cores"] >= made["hardware"]["cores_usable"] >= 1
    assert made["libraries"]["numpy"] == metadata.version("numpy")
    assert datetime.datetime.fromisoformat(made["finished"]).tzinfo is not None
    if made["commit"] is not None:  # a source tree
        assert set(made["commit"].removesuffix("+")) <= set("0123456789abcdef")
    json.dumps(made, allow_nan=False)


def test_of_absolute_paths_only_the_last_part() -> None:
    here = str(Path.cwd() / "my photos")
    assert shown(["a", here, f"--out={here}", "x/y", "n=3"]) == "a 'my photos' '--out=my photos' x/y n=3"


@pytest.mark.parametrize("name", STORED)
def test_stored_results_say_it(name: str) -> None:
    path = RESULTS / name
    if not path.is_file():
        pytest.skip("results are not here")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["command"].startswith(("calotype ", "python "))
    assert not any(word.startswith("/") for word in record["command"].split())
    assert len(record["commit"].removesuffix("+")) >= 12
    assert record["hardware"]["processor"]
    assert record["libraries"]["torch"]
    assert datetime.datetime.fromisoformat(record["finished"]).tzinfo is not None

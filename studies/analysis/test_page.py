"""The page of analyses is what the JSON beside it gives."""

from __future__ import annotations

import json
from pathlib import Path

from studies.analysis.page import FIGURES, page

FOLDER = Path(__file__).parent


def test_the_page_is_what_the_results_give() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert text == page(FOLDER)
    for name in FIGURES:
        made = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        assert made["commit"][:10] in text
        assert made["hardware"]["processor"] in text
        assert f"({name}.png)" in text

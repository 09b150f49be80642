"""The page of ideas is what its stored results give."""

from __future__ import annotations

from typing import Any

from studies.product import page


def test_the_page_is_what_the_results_give() -> None:
    assert (page.FOLDER / page.PAGE).read_text(encoding="utf-8") == page.whole(page.FOLDER)


def test_a_gain_is_the_bd_rate_of_the_curves() -> None:
    """10 % fewer bits at equal PSNR, beside 1 % of chance."""

    def run(factor: float) -> dict[str, Any]:
        return {"validation": {"bpp": [factor * b for b in (0.1, 0.2, 0.4)], "psnr": [30.0, 33.0, 36.0]}}

    runs = {"a": run(1.0), "b": run(0.9), "c": run(1.01)}
    assert page.gain({"run": "b", "against": "a"}, runs) == "`b`: BD-rate -10.00 %"
    text = page.gain({"run": "b", "against": "a", "chance": "c"}, runs)
    assert text == "`b`: BD-rate -10.00 % (the same run with other crops: +1.00 %)"
    runs["b"]["transform_time"] = 1.25
    assert page.gain({"run": "b", "against": "a"}, runs).endswith("%, 1.25 times the transform's CPU time")
    assert page.gain({"gain": "much"}, runs) == "much"

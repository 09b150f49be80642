"""``calotype view`` and the page of blind choices, in Chromium."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.golden import scene
from tests.web.conftest import WAIT, decoded, shown, wait

import calotype


def test_it_shows_the_files_and_ends_with_the_page(calotype_view: Any, page: Any, photo: bytes) -> None:
    process, address = calotype_view()
    page.goto(address)
    wait(page, "done")
    wait(page, "done", "right")
    page.focus("#slider")
    page.keyboard.press("End")
    np.testing.assert_array_equal(shown(page, 150, 90), decoded(photo))
    page.keyboard.press("Home")
    np.testing.assert_array_equal(shown(page, 150, 90)[..., :3], scene(90, 150, 3))
    assert page.inner_text("#nameleft") == "a photo.calo"
    page.reload()
    wait(page, "done")
    assert process.poll() is None
    page.goto("about:blank")
    assert process.wait(WAIT / 1000) == 0


@pytest.mark.slow
def test_it_encodes_with_the_usual_pack(calotype_view: Any, page: Any) -> None:
    _, address = calotype_view()
    page.goto(address)
    wait(page, "done")
    wait(page, "done", "right")
    page.click("#encode")  # the original: the other one is a file already
    page.wait_for_selector("#savecalo:not([disabled])")
    with page.expect_download() as download:
        page.click("#savecalo")
    assert download.value.suggested_filename == "original.calo"
    assert Path(download.value.path()).read_bytes() == calotype.encode(scene(90, 150, 3))
    assert page.inner_text("#nameright") == "original.png"


def test_ctrl_c_ends_it(calotype_view: Any) -> None:
    process, address = calotype_view("--stay")
    assert address.startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT / 1000) == 0


def test_a_visitor_votes_blindly(page: Any, tmp_path: Path) -> None:
    """The page of ``calotype bench blind``, opened as a file: keys, buttons, the result, the votes."""
    pytest.importorskip("calotype.bench.runner")
    from calotype.bench.report import blind
    from calotype.bench.runner import Settings, run

    Image.fromarray(scene(96, 128, 1)).save(tmp_path / "a.png")
    ladder = {"jpeg-420": (10, 50, 90), "webp": (10, 50, 90)}
    settings = Settings(
        out=tmp_path / "run", codecs=tuple(ladder), qualities=ladder, picture_bpp=(0.5, 1.0), timing_images=0
    )
    run([tmp_path / "a.png"], settings)
    page.goto(blind.build(tmp_path / "run", ("webp", "jpeg-420")).as_uri())
    assert page.inner_text("#where").startswith("Pair 1 of 2")
    assert page.evaluate(
        "['a', 'original', 'b'].every(id => document.getElementById(id).naturalWidth === 128)"
    )
    assert page.evaluate("original.getBoundingClientRect().width") == 128
    page.keyboard.press("z")
    assert page.evaluate("original.getBoundingClientRect().width") == 256
    # On a screen that is too narrow for three they stay side by side, and move together.
    page.set_viewport_size({"width": 900, "height": 500})
    places = "['a', 'original', 'b'].map(id => document.getElementById(id).parentElement"
    for _ in range(4):
        page.keyboard.press("z")
    page.evaluate("document.querySelector('figure').style.width = '200px'")
    page.evaluate("() => [...document.querySelectorAll('figure')].forEach(f => (f.style.maxWidth = '200px'))")
    page.evaluate("document.querySelector('figure').scrollLeft = 30")
    page.wait_for_function(f"{places}.scrollLeft).join() === '30,30,30'")
    assert len(set(page.evaluate(f"{places}.offsetTop)"))) == 1
    assert page.evaluate("choose.getBoundingClientRect().bottom <= innerHeight")
    page.keyboard.press("a")
    assert page.inner_text("#where").startswith("Pair 2 of 2")
    page.click("button[data-vote=same]")
    page.wait_for_selector("#result")
    assert page.locator("#voting").is_hidden()
    rows = [row.split("\t") for row in page.inner_text("#votes").splitlines()]
    assert rows[-1][0] == "all"
    assert sorted(rows[-1][1:3]) == ["0", "1"]
    assert rows[-1][3] == "1"
    with page.expect_download() as download:
        page.click("#save")
    votes = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert votes["codecs"] == ["webp", "jpeg-420"]
    assert [vote["chosen"] is None for vote in votes["votes"]] == [False, True]

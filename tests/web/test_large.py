"""A picture of 12 megapixels: what it takes of memory, and that the page answers meanwhile."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.golden import scene
from tests.web.conftest import WAIT, Site

from calotype.api import to_picture
from calotype.cli import view
from calotype.codec import library, manifest
from calotype.codec.encoder import encode

LIMIT = 300 * 10**6
"""Bytes of the page's process that are its own."""


def own_memory(pid: int) -> int:
    """Bytes that only this process has, or that it shares with Chromium's others: not the program itself."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
    return sum(1024 * int(size) for size in re.findall(r"^Pss_(?:Anon|Shmem): +(\d+) kB", text, re.MULTILINE))


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """A list whose one number is the most memory that the process has had so far."""
    most, ends = [own_memory(pid)], threading.Event()

    def watch() -> None:
        while not ends.wait(0.1):
            most[0] = max(most[0], own_memory(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield most
    ends.set()
    thread.join()


LONG_TASKS = """() => {
  window.long = [];
  const watch = new PerformanceObserver(list => long.push(...list.getEntries().map(task => task.duration)));
  watch.observe({type: "longtask"});
}"""


@pytest.mark.slow
def test_twelve_megapixels(browser: Any, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/proc/self/smaps_rollup").is_file():
        pytest.skip("needs Linux, to see how much memory a process has")
    # Photograph-like noise at several scales, with the pack that ships.
    picture = np.tile(scene(750, 1000, 3), (4, 4, 1))
    data = encode(to_picture(picture), quality=60).data
    site.things["/large.calo"] = data
    packs = list(library.paths())
    for name in (manifest.NAME, manifest.TABLES, manifest.NETWORKS):
        site.things[f"/pack/{name}"] = manifest.read(packs[0], name)
    site.things["/decoder/packs.json"] = b'["../pack"]'
    assert view.home().is_dir()

    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    # As many workers as there ever are: each has a decoder of its own.
    page.add_init_script("Object.defineProperty(navigator, 'hardwareConcurrency', {value: 4})")
    page.goto(site.root)
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    pids = [entry["id"] for entry in found if entry["type"] == "renderer"]
    pid = max(pids)  # the one that was started last
    page.evaluate(LONG_TASKS)
    before = own_memory(pid)
    with watched(pid) as most:
        started = time.monotonic()
        page.goto(f"{site.root}?src=large.calo")
        page.evaluate(LONG_TASKS)
        page.wait_for_selector("#stage[data-left=parts]", timeout=5 * WAIT)
        # In the midst of it the page does what it is asked to.
        page.click("#facts")
        page.keyboard.press("+")
        assert "tile_count" in page.inner_text("#panel")
        assert page.get_attribute("#stage", "data-left") == "parts"
        page.wait_for_selector("#stage[data-left=done]", timeout=5 * WAIT)
        seconds = time.monotonic() - started
    tasks = page.evaluate("long")
    context.close()
    with capsys.disabled():
        print(
            f"\n12 MP: {seconds:.1f} s, {most[0] / 1e6:.0f} MB at most ({before / 1e6:.0f} MB before), "
            f"{len(tasks)} long tasks, the longest {max(tasks, default=0):.0f} ms"
        )
    assert most[0] < LIMIT

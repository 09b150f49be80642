"""What a page shows while a pack is fetched for the first time, in Chromium."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import numpy as np
import pytest
from tests.web.conftest import Site, decoded, drop, shown, wait

from calotype.cli import view


def add_part(site: Site) -> None:
    """What previews need as a file of its own, as ``calotype view --copy-to`` writes it."""
    part = view.preview_part(site.things["/tiny/networks.safetensors"])
    fields = json.loads(site.things["/tiny/manifest.json"]) | {"preview": hashlib.sha256(part).hexdigest()}
    site.things |= {"/tiny/manifest.json": json.dumps(fields).encode(), f"/tiny/{view.PREVIEW}": part}


def test_a_part_of_the_pack_shows_the_preview(site: Site, page: Any, long: bytes) -> None:
    add_part(site)
    gate = threading.Event()
    site.gates["/tiny/networks.safetensors"] = 0, gate
    page.goto(site.root)
    drop(page, ("long.calo", long))
    wait(page, "preview")
    seen = shown(page, 300, 180).astype(int)
    assert np.abs(seen[8:-8, 8:-8] - decoded(long)[8:-8, 8:-8]).mean() < 40
    assert seen[8:-8, 8:-8, :3].std() > 5
    gate.set()
    wait(page, "done")
    np.testing.assert_array_equal(shown(page, 300, 180), decoded(long))
    # Once all of the pack is kept, it is enough.
    before = len(site.asked)
    page.reload()
    drop(page, ("long.calo", long))
    wait(page, "done")
    assert not [path for path in site.asked[before:] if path.endswith((".safetensors", ".gz"))]


@pytest.mark.slow
def test_a_part_that_is_another_is_passed_over(site: Site, page: Any, photo: bytes) -> None:
    add_part(site)
    site.things[f"/tiny/{view.PREVIEW}"] = site.things["/tiny/networks.safetensors"]
    page.goto(site.root)
    drop(page, ("photo.calo", photo))
    wait(page, "done")
    np.testing.assert_array_equal(shown(page, 150, 90), decoded(photo))

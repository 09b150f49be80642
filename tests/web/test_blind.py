"""Choosing blindly in the viewer's page, in Chromium: from dropped photographs to how somebody voted."""

from __future__ import annotations

import base64
import json
import re
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.golden import scene
from tests.web.conftest import Site, calo, decoded, drop, png, rgba, wait

from calotype.cli import rivals, view

PHOTOS = {"one.png": scene(300, 440, 2), "two.png": scene(300, 440, 6)}
"""440 x 300 pixels: each is seen whole, and makes a pair at both rates."""
RATES = (0.25, 0.6)
SEEN = """id => {
  const image = document.getElementById(`blind-${id}`), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  return btoa(Array.from(data, byte => String.fromCharCode(byte)).join(""));
}"""


def opened(page: Any, photos: dict[str, np.ndarray]) -> None:
    """Drops photographs, and opens the dialog by its key."""
    drop(page, *((name, png(pixels)) for name, pixels in photos.items()))
    wait(page, "done")
    page.keyboard.press("c")
    page.wait_for_selector("#blind-begin:not([disabled])")


def begun(page: Any, kind: str = "JPEG") -> None:
    """Begins, and waits for the first pair."""
    page.select_option("#blind-kind", kind)
    page.click("#blind-begin")
    page.wait_for_selector("#blind-voting, #blind-start:not([hidden])")
    assert page.locator("#blind-voting").is_visible(), page.inner_text("#blind-trouble")


def seen(page: Any, which: str) -> np.ndarray:
    """The pixels of A, B or the original, RGB."""
    page.wait_for_function("id => document.getElementById(`blind-${id}`).complete", arg=which)
    return rgba(page.evaluate(SEEN, which), 440, 300)[..., :3]


def rows(page: Any, table: str) -> list[list[str]]:
    """What stands in a table below its head."""
    lines = page.locator(f"#blind-{table} tr").all()[1:]
    return [line.locator("td").all_inner_texts() for line in lines]


def mine(pixels: np.ndarray, size: int) -> np.ndarray:
    """The pixels of the program's file of so many bytes, which grow with the quality."""
    low, high = 0, 95
    while low < high:
        middle = (low + high) // 2
        smaller = len(calo(pixels, quality=middle, tile=None)) < size
        low, high = (middle + 1, high) if smaller else (low, middle)
    data = calo(pixels, quality=low, tile=None)
    assert len(data) == size
    return decoded(data)[..., :3]


def test_a_visitor_chooses_and_is_told_how(site: Site, page: Any) -> None:
    """Answers by keys; what is counted is compared with what was seen, by the program's own files."""
    page.goto(site.root)
    opened(page, PHOTOS)
    assert page.inner_text("#blind-which").startswith("Your 2 photographs are used.")
    assert page.locator("#blind-kind option").all_inner_texts() == ["WebP", "JPEG"]  # nothing makes AVIF
    begun(page)
    pairs = []
    for k, key in enumerate("abas"):
        assert page.inner_text("#blind-where").startswith(f"Pair {k + 1} of 4")
        pairs.append((key, *(seen(page, which) for which in ("a", "original", "b"))))
        page.keyboard.press(key)
    page.wait_for_selector("#blind-result")
    assert page.inner_text("#blind-where") == "Done. This is how you voted."
    told = rows(page, "list")
    assert sorted((row[0], row[1]) for row in told) == sorted(
        (name, f"{bpp} bpp") for name in PHOTOS for bpp in RATES
    )
    expected = {f"{bpp} bpp": [0, 0, 0] for bpp in RATES}
    for (key, a, original, b), (name, rate, was_a, was_b, chose, _) in zip(pairs, told, strict=True):
        np.testing.assert_array_equal(original, PHOTOS[name])
        sides = {"a": was_a.split(", ", 1), "b": was_b.split(", ", 1)}
        sizes = {codec: int(re.sub(r"\D", "", size)) for codec, size in sides.values()}
        assert sizes.keys() == {"Calotype", "JPEG"}
        assert sizes["Calotype"] == pytest.approx(float(rate.split()[0]) * 440 * 300 / 8, rel=0.1)
        assert sizes["JPEG"] == pytest.approx(sizes["Calotype"], rel=0.1)
        own, other = (a, b) if sides["a"][0] == "Calotype" else (b, a)
        np.testing.assert_array_equal(own, mine(PHOTOS[name], sizes["Calotype"]))
        assert 0 < np.abs(other.astype(int) - original).mean() < 25
        codec = sides[key][0] if key in sides else "no difference"
        assert chose == codec
        expected[rate][["Calotype", "JPEG", "no difference"].index(codec)] += 1
    counted = {row[0]: [int(cell) for cell in row[1:]] for row in rows(page, "votes")}
    assert counted.pop("all") == [sum(column) for column in zip(*expected.values(), strict=True)]
    assert counted == expected
    three = {3: "25.0 %", 2: "100.0 %"}[max(sum(expected[rate][k] for rate in expected) for k in (0, 1))]
    assert three in page.inner_text("#blind-chance")
    # One is looked at again, with names.
    page.locator("#blind-list button").first.click()
    assert page.inner_text("#blind-name-a") == f"A: {told[0][2]}"
    np.testing.assert_array_equal(seen(page, "a"), pairs[0][1])
    page.keyboard.press("b")  # is no vote any more
    page.keyboard.press("Escape")
    assert rows(page, "list") == told
    page.keyboard.press("Escape")
    assert page.locator("#blind").is_hidden()
    assert page.inner_text("#nameleft") == "one.png"


def test_photographs_that_come_along(site: Site, page: Any) -> None:
    """Without any of one's own, and with a credit; where none lie beside the page it offers none."""
    credit = "Both by Nobody, in the public domain."
    site.things["/photos/photos.json"] = json.dumps({"credit": credit, "files": [*PHOTOS]}).encode()
    site.things |= {f"/photos/{name}": png(pixels) for name, pixels in PHOTOS.items()}
    page.goto(site.root)
    page.click("#oursblindly")
    page.wait_for_selector("#blind-begin:not([disabled])")
    assert page.inner_text("#blind-which") == "2 photographs that come with this page are used."
    assert page.inner_text("#blind-credit") == credit
    begun(page)
    assert page.inner_text("#blind-where").startswith("Pair 1 of 4")
    for _ in range(4):
        page.keyboard.press("s")
    assert sorted({row[0] for row in rows(page, "list")}) == ["one", "two"]
    page.keyboard.press("Escape")
    opened(page, {"one.png": PHOTOS["one.png"]})  # one's own count again
    assert page.inner_text("#blind-which").startswith("Your photograph is used.")
    assert page.locator("#blind-credit").is_hidden()
    del site.things["/photos/photos.json"]
    page.reload()
    page.wait_for_load_state("networkidle")
    assert page.locator("#oursblindly").is_hidden()


def test_the_set_makes_24_pairs() -> None:
    """Twelve photographs of which each is listed, large enough for a pair at both rates, and small in all."""
    folder = view.home() / "photos"
    listed = json.loads((folder / "photos.json").read_text())
    files = sorted(folder.glob("*.jpg"))
    assert listed["files"] == [path.name for path in files]
    assert len(files) * len(RATES) == 24
    assert sum(path.stat().st_size for path in files) < 1.5e6
    told = (folder / "README.md").read_text()
    for path in files:
        with Image.open(path) as image:
            assert image.size == (640, 480)
        photograph, _, part = path.stem.rpartition("-")
        assert re.search(rf"^\| {photograph} \|.*\b{part} \d", told, re.MULTILINE)
    served = {name for name in view.files(view.home()) if name.startswith("photos/")}
    assert served == {"photos/photos.json", *(f"photos/{path.name}" for path in files)}


@pytest.mark.slow
def test_back_stop_and_on_again(site: Site, page: Any) -> None:
    page.goto(site.root)
    opened(page, {"one.png": PHOTOS["one.png"]})
    begun(page)
    assert page.is_disabled("#blind-back")
    first = seen(page, "a")
    page.click("#blind-vote-a")
    assert page.inner_text("#blind-where").startswith("Pair 2 of 2")
    page.keyboard.press("Backspace")
    assert page.inner_text("#blind-where").startswith("Pair 1 of 2")
    np.testing.assert_array_equal(seen(page, "a"), first)
    page.keyboard.down("s")
    page.keyboard.down("s")  # a key held down is one vote
    page.keyboard.up("s")
    assert page.inner_text("#blind-where").startswith("Pair 2 of 2")
    page.keyboard.press("Escape")
    assert page.inner_text("#blind-where") == "This is how you voted on 1 of 2 pairs."
    assert [row[1:] for row in rows(page, "votes")] == [["0", "0", "1"]] * 2
    assert page.inner_text("#blind-chance") == ""
    page.click("#blind-more")
    assert page.inner_text("#blind-where").startswith("Pair 2 of 2")
    page.keyboard.press("b")
    assert page.inner_text("#blind-where").startswith("Done")
    assert len(rows(page, "list")) == 2
    # Pictures are shown pixel for pixel of the screen, or twice as large.
    page.locator("#blind-list button").first.click()
    for width in (440, 880, 440):
        assert page.evaluate("document.getElementById('blind-a').getBoundingClientRect().width") == width
        page.keyboard.press("z")


@pytest.mark.slow
def test_giving_up_while_it_encodes(site: Site, page: Any) -> None:
    """At once, though the networks have not arrived; what begins later and encoding in the page are well."""
    gate = threading.Event()
    site.gates["/tiny/encoder.safetensors"] = (100, gate)
    page.goto(site.root)
    opened(page, {"one.png": PHOTOS["one.png"]})
    page.click("#blind-begin")
    page.wait_for_selector("#blind-doing:has-text('fetching the networks')")
    page.click("#blind-give")
    assert page.locator("#blind-start").is_visible()
    page.click("#blind-begin")
    page.wait_for_selector("#blind-doing:has-text('one.png (1 of 1)')")
    page.keyboard.press("Escape")
    assert page.locator("#blind-start").is_visible()
    gate.set()
    begun(page)
    page.click("#blind-close")
    assert page.locator("#blind").is_hidden()
    page.click("#encode")
    page.wait_for_selector("#savecalo:not([disabled])")
    assert page.locator("#trouble").is_hidden()


@pytest.mark.slow
def test_pairs_that_are_ready_can_be_enough(site: Site, page: Any) -> None:
    """While the second picture is still on its way."""
    for name, pixels in PHOTOS.items():
        site.things[f"/{name}"] = png(pixels)
    site.gates["/two.png"] = (500, threading.Event())
    page.goto(f"{site.root}?src=one.png&src=two.png")
    wait(page, "done")
    page.click("#blindly")
    page.wait_for_selector("#blind-begin:not([disabled])")
    page.click("#blind-begin")
    page.click("#blind-now")
    assert page.inner_text("#blind-where").startswith("Pair 1 of 2")


NO_WEBP = """
  const write = OffscreenCanvas.prototype.convertToBlob;
  OffscreenCanvas.prototype.convertToBlob = function (how) {
    return write.call(this, how?.type === "image/webp" ? {type: "image/png"} : how);
  };
"""


@pytest.mark.slow
def test_jpeg_where_there_is_neither_avif_nor_webp(site: Site, page: Any) -> None:
    page.add_init_script(NO_WEBP)
    page.goto(site.root)
    opened(page, {"small.png": scene(90, 150, 3), "one.png": PHOTOS["one.png"]})
    assert page.locator("#blind-kind option").all_inner_texts() == ["JPEG"]
    begun(page)
    note = "small.png: nothing at 0.25 bpp: no JPEG is about as small"  # for its header
    assert page.inner_text("#blind-notes").splitlines()[0] == note
    page.keyboard.press("Escape")
    assert page.locator("#blind-votes th").all_inner_texts() == ["rate", "Calotype", "JPEG", "no difference"]


@pytest.mark.slow  # test_rivals.py has the program make AVIF
@pytest.mark.skipif("AVIF" not in rivals.names(), reason="this Pillow writes no AVIF")
def test_avif_by_the_program(calotype_view: Any, page: Any) -> None:
    """Beside a .calo file, which is no photograph."""
    _, address = calotype_view("--stay")
    page.goto(address)
    wait(page, "done", "right")
    opened(page, {"one.png": PHOTOS["one.png"]})
    assert page.locator("#blind-kind option").all_inner_texts() == ["AVIF", "WebP", "JPEG"]
    assert page.inner_text("#blind-which").startswith("Your 2 photographs are used.")
    begun(page, "AVIF")
    while not page.inner_text("#blind-where").startswith("Done"):
        page.keyboard.press("a")
    told = rows(page, "list")
    assert ["one.png", "0.25 bpp"] in [row[:2] for row in told]
    assert all({side.split(",")[0] for side in row[2:4]} == {"Calotype", "AVIF"} for row in told)


@pytest.mark.slow
def test_what_cannot_be_done_says_why(site: Site, page: Any, photo: bytes) -> None:
    page.goto(site.root)
    drop(page, ("photo.calo", photo))
    wait(page, "done")
    assert page.locator("#blindly").is_hidden()
    page.keyboard.press("c")
    assert page.locator("#blind").is_hidden()
    encoder = site.things.pop("/tiny/encoder.safetensors")
    page.reload()
    broken = ("broken.png", png(PHOTOS["two.png"])[:300])
    drop(page, ("one.png", png(PHOTOS["one.png"])), ("photo.calo", photo), broken)
    wait(page, "done")
    page.click("#blindly")
    page.wait_for_selector("#blind-begin:not([disabled])")
    page.click("#blind-begin")
    page.wait_for_selector("#blind-trouble:not([hidden])")
    lines = page.inner_text("#blind-trouble").splitlines()
    assert lines[0].startswith("There is nothing to choose between. one.png: ")
    assert "encoder.safetensors cannot be read: 404" in lines[0]
    assert lines[1:] == ["broken.png: it is no picture that this browser can show"]
    site.things["/tiny/encoder.safetensors"] = encoder
    begun(page)
    assert page.inner_text("#blind-notes") == lines[1]
    assert page.locator("#blind-trouble").is_hidden()
    assert page.inner_text("#blind-where").startswith("Pair 1 of 2")


def test_more_can_be_dropped_and_twelve_are_used(site: Site, page: Any) -> None:
    page.goto(site.root)
    opened(page, {"one.png": scene(20, 30, 1)})
    assert page.inner_text("#blind-which").startswith("Your photograph is used. Drop more")
    drop(page, *((f"{k}.png", png(scene(20, 30, k))) for k in range(12)))
    assert page.inner_text("#blind-which") == "The first 12 of your 13 photographs are used."


@pytest.mark.slow
def test_places_have_most_detail_and_lie_apart(site: Site, page: Any) -> None:
    """And of too large a picture the middle is taken, in its shape."""
    page.goto(site.root)
    pixels = np.full((800, 1400), 128, np.uint8)
    pixels[420:780, 900:1380] = np.random.default_rng(1).integers(0, 256, (360, 480))
    pixels[10:50, 10:50] = 0
    values = np.dstack([pixels] * 3 + [np.full_like(pixels, 255)])
    found = page.evaluate(
        """async ([bytes, count]) => {
          const {places} = await import("./blind-worker.js");
          const data = Uint8Array.from(atob(bytes), c => c.charCodeAt());
          return places({width: 1400, height: 800, data}, count);
        }""",
        [base64.b64encode(values.tobytes()).decode(), 4],
    )
    assert len(found) == 4
    first = found[0]
    assert first["left"] <= 900 <= first["left"] + 32 + 480 <= 1400 + 32
    assert first["top"] >= 380
    assert all((place["width"], place["height"]) == (512, 400) for place in found)
    assert all(0 <= place["left"] <= 888 and 0 <= place["top"] <= 400 for place in found)
    apart = [
        max(abs(p["left"] - q["left"]), abs(p["top"] - q["top"]))
        for k, p in enumerate(found)
        for q in found[:k]
    ]
    assert min(apart) >= 256
    sizes = [(440, 300), (5000, 3500), (16, 2**20), (1, 2**21), (70000, 300)]
    for (width, height), box in zip(
        sizes,
        page.evaluate(
            """async sizes => {
              const {middle} = await import("./blind-worker.js");
              return sizes.map(size => middle(...size));
            }""",
            sizes,
        ),
        strict=True,
    ):
        squares = -(-box["width"] // 16) * -(-box["height"] // 16)
        assert squares <= 2**16
        assert squares > 0.9 * min(2**16, -(-width // 16) * -(-height // 16))
        assert abs(2 * box["left"] + box["width"] - width) <= 1
        assert abs(2 * box["top"] + box["height"] - height) <= 1

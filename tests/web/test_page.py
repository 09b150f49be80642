"""The viewer's page in Chromium: the native decoder's pixels, messages, and nothing that files make run."""

from __future__ import annotations

import colorsys
import io
import json
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from tests.conftest import TINY, every
from tests.golden import scene
from tests.web.conftest import Site, calo, damaged, decoded, drop, shown, wait

import calotype
from calotype.codec.bits import count

HOSTILE = Path(__file__).parents[1] / "data" / "hostile"


def png(image: Image.Image, **kept: Any) -> io.BytesIO:
    """A PNG file of it. kept: its profile and EXIF data, as Pillow's ``save`` takes them."""
    file = io.BytesIO()
    image.save(file, "PNG", **kept)
    return file


def test_a_dropped_file_shows_the_pixels_of_the_native_decoder(site: Site, page: Any, photo: bytes) -> None:
    page.goto(site.root)
    drop(page, ("photo.calo", photo))
    wait(page, "done")
    np.testing.assert_array_equal(shown(page, 150, 90), decoded(photo))
    assert "150 × 90" in page.inner_text("#status")
    page.click("#facts")
    text = page.inner_text("#panel")
    probed = calotype.probe(photo)
    assert probed["pack_id"] in text
    assert all(str(chunk["offset"]) in text for chunk in probed["chunks"])
    before = shown(page, 150, 90)
    assert page.locator("#legend").is_hidden()
    page.keyboard.press("b")
    assert (shown(page, 150, 90) != before).any()
    sizes = [chunk["length"] for chunk in probed["chunks"] if chunk["name"] == "tile"]
    assert f"{min(sizes)} bytes to {max(sizes)} bytes" in page.inner_text("#legend")


@pytest.mark.parametrize(("how", "tile"), every(2, [(6, 64), (1, 64), (1, 256), (6, 256)]))
def test_the_map_of_bits_is_that_of_probe(site: Site, page: Any, how: int, tile: int) -> None:
    """Its colours, in a picture with a flat and a busy part, turned as EXIF data say; of one tile, too."""
    image = np.full((120, 184, 3), 200, np.uint8)
    image[20:120, 10:100] = scene(100, 90, 3)
    exif = Image.Exif()
    exif[0x0112] = how
    data = calo(Image.open(png(Image.fromarray(image), exif=exif.tobytes())), tile=tile)
    told = count(data, pack=TINY).of("all") / 256
    most = np.sort(told, axis=None)[int(0.999 * (told.size - 1))]
    page.goto(site.root)
    drop(page, ("page.calo", data))
    wait(page, "done")
    size = (120, 184) if how == 6 else (184, 120)
    before = shown(page, *size).astype(float)
    page.keyboard.press("b")
    page.locator("#most", has_text="or more").wait_for()
    assert f"{most:.2f} bits per pixel or more" in page.inner_text("#legend")
    # What was laid over the pixels, below the names of tiles and between their lines.
    colours = ((shown(page, *size) - 0.55 * before) / 0.45).clip(0, 255) / 255
    wanted = np.kron(told / most, np.ones((16, 16)))[:120, :184].clip(0, 1)
    wanted = np.rot90(wanted, -1) if how == 6 else wanted
    places = [(y, x) for y in range(52, size[1], 64) for x in range(4, size[0], 8)]
    found = [1 - 1.5 * colorsys.rgb_to_hsv(*colours[place][:3])[0] for place in places]
    np.testing.assert_allclose(found, [wanted[place] for place in places], atol=0.04)
    assert np.std(found) > 0.1


def test_a_chosen_picture_is_saved_exactly(site: Site, page: Any) -> None:
    """With alpha, under which a canvas loses colours, and metadata."""
    opacity = (np.add.outer(np.arange(90), np.arange(150)) % 256).astype(np.uint8)
    image = Image.fromarray(np.dstack([scene(90, 150, 3), opacity]))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    data = calo(Image.open(png(image, icc_profile=profile, exif=exif.tobytes())))
    page.goto(site.root)
    page.set_input_files("#files", {"name": "a.b.calo", "mimeType": "", "buffer": data})
    wait(page, "done")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "a.b.png"
    with Image.open(download.value.path()) as saved:
        np.testing.assert_array_equal(np.asarray(saved.convert("RGBA")), decoded(data))
        assert saved.info["icc_profile"] == profile
        assert saved.getexif()[0x010E] == "a description"


@pytest.mark.slow
def test_a_profile_for_grey_is_followed(site: Site, page: Any) -> None:
    """The page shows what the browser makes of the same pixels with the same profile."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"grey\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, 256),  # linear light
    }
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">2I", 132 + 12 * len(tags) + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    head = (
        struct.pack(">I", 128 + len(table + content))
        + bytes(4)
        + b"\2\x10\0\0mntrGRAYXYZ "
        + bytes(12)
        + b"acsp"
    )
    profile = (
        head.ljust(68, b"\0") + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D) + bytes(48) + table + content
    )
    grey = Image.fromarray(scene(90, 150, 3)).convert("L")
    data = calo(Image.open(png(grey, icc_profile=profile)))
    kept = calotype.decode(data, pack=TINY)
    assert kept.mode == "L"
    assert kept.info["icc_profile"] == profile
    page.goto(site.root)
    drop(page, ("grey.calo", data), ("grey.png", png(kept, icc_profile=profile).getvalue()))
    wait(page, "done")
    wait(page, "done", "right")
    page.focus("#slider")
    page.keyboard.press("Home")
    theirs = shown(page, 150, 90)
    assert (theirs[..., 0] != np.asarray(kept)).any()
    page.keyboard.press("End")
    np.testing.assert_array_equal(shown(page, 150, 90), theirs)


@pytest.mark.parametrize(
    "how", [6, *(pytest.param(how, marks=pytest.mark.slow) for how in (2, 3, 4, 5, 7, 8))]
)
def test_turned_pictures_are_upright(site: Site, page: Any, how: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = how
    data = calo(Image.open(png(Image.fromarray(scene(90, 150, 3)), exif=exif.tobytes())))
    kept = calotype.decode(data, pack=TINY)
    assert kept.getexif()[0x0112] == how
    upright = ImageOps.exif_transpose(kept).convert("RGBA")
    page.goto(site.root)
    drop(page, ("turned.calo", data))
    wait(page, "done")
    np.testing.assert_array_equal(shown(page, *upright.size), np.asarray(upright))


def test_the_slider_divides_two_pictures(site: Site, page: Any, photo: bytes) -> None:
    other = 255 - scene(90, 150, 3)
    page.goto(site.root)
    drop(page, ("photo.calo", photo), ("other.png", png(Image.fromarray(other)).getvalue()))
    wait(page, "done")
    wait(page, "done", "right")
    ours, theirs = decoded(photo), np.dstack([other, np.full((90, 150), 255, np.uint8)])

    def divided() -> int:
        """The column from which the right picture is shown."""
        seen = shown(page, 150, 90)
        at = next((x for x in range(150) if (seen[:, x] != ours[:, x]).any()), 150)
        np.testing.assert_array_equal(seen[:, at:], theirs[:, at:])
        return at

    assert divided() == 75
    handle = page.locator("#slider span").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 45, y)
    page.mouse.up()
    assert divided() == 30
    page.keyboard.press("End")
    assert divided() == 150
    page.keyboard.press("x")  # exchanges them
    page.keyboard.press("End")
    np.testing.assert_array_equal(shown(page, 150, 90), theirs)


def test_pictures_of_another_shape_are_not_stretched(site: Site, page: Any) -> None:
    """The right one keeps its shape within the left one, and the page says so."""
    wide, square = scene(90, 150, 3), np.full((60, 60, 3), 200, np.uint8)
    page.goto(site.root)
    drop(
        page,
        *((name, png(Image.fromarray(p)).getvalue()) for name, p in {"w.png": wide, "s.png": square}.items()),
    )
    wait(page, "done")
    wait(page, "done", "right")
    assert "the shapes differ" in page.inner_text("#status")
    page.focus("#slider")
    page.keyboard.press("Home")
    opaque = shown(page, 150, 90)[:, :, 3] > 0
    assert opaque.any(axis=0).nonzero()[0].tolist() == list(range(30, 120))  # 90 pixels wide and high
    assert opaque[:, 30:120].all()
    drop(page, ("half.png", png(Image.fromarray(wide[::2, ::2])).getvalue()))
    wait(page, "done", "right")
    page.select_option("#left", label="w.png")
    page.select_option("#right", label="half.png")
    wait(page, "done", "right")
    page.focus("#slider")
    page.keyboard.press("Home")
    assert (shown(page, 150, 90)[:, :, 3] == 255).all()
    assert "the sizes differ" in page.inner_text("#status")


def test_keys_and_fingers(site: Site, browser: Any, photo: bytes) -> None:
    context = browser.new_context(**{"viewport": {"width": 390, "height": 800}, "has_touch": True})
    page = context.new_page()
    page.goto(site.root)
    drop(page, ("photo.calo", photo))
    wait(page, "done")

    def zoom() -> str:
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return str(page.inner_text("#zoom"))

    assert zoom() == "100 %"
    page.keyboard.press("+")
    assert zoom() == "150 %"
    page.keyboard.press("0")
    assert zoom() == "100 %"
    # Two fingers, from 40 to 120 pixels apart: three times as large.
    touch = context.new_cdp_session(page)

    def fingers(kind: str, *places: tuple[int, int]) -> None:
        points = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", (175, 400), (215, 400))
    fingers("touchMove", (155, 400), (235, 400))
    fingers("touchMove", (135, 400), (255, 400))
    fingers("touchEnd")
    assert zoom() == "300 %"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_a_preview_is_shown_while_the_file_arrives(site: Site, page: Any, long: bytes) -> None:
    gate = threading.Event()
    site.things["/slow.calo"] = long
    site.gates["/slow.calo"] = len(long) * 2 // 3, gate
    page.goto(f"{site.root}?src=slow.calo")
    wait(page, "preview")
    assert "preview" in page.inner_text("#status")
    seen = shown(page, 300, 180)
    # Roughly the picture, where tiles have come: the first rows of them.
    assert np.abs(seen[8:100, 8:292].astype(int) - decoded(long)[8:100, 8:292]).mean() < 40
    assert seen[8:100, 8:292, :3].std() > 5
    gate.set()
    wait(page, "done")
    np.testing.assert_array_equal(shown(page, 300, 180), decoded(long))


def test_the_page_says_what_it_waits_for(site: Site, page: Any, photo: bytes) -> None:
    """On a first visit: the size of the picture, and how much of the networks is there."""
    gate = threading.Event()
    networks = site.things["/tiny/networks.safetensors"]
    site.gates["/tiny/networks.safetensors"] = len(networks) // 2, gate
    page.goto(site.root)
    drop(page, ("photo.calo", photo))
    page.evaluate(
        """() => new Promise(done => {
          const bar = document.getElementById("progress");
          const look = () => (bar.value > 0.2 && bar.value < 1 ? done() : setTimeout(look, 20));
          look();
        })"""
    )
    status = page.inner_text("#status")
    assert "150 × 90" in status
    assert "fetching the networks, " in status
    assert page.locator("#progress").is_visible()
    gate.set()
    wait(page, "done")
    assert "fetching" not in page.inner_text("#status")


def test_a_damaged_file_says_so_and_gives_what_is_left(site: Site, page: Any, photo: bytes) -> None:
    hurt = damaged(photo)
    page.goto(site.root)
    drop(page, ("hurt.calo", hurt))
    page.wait_for_selector("#trouble")
    assert "hurt.calo: checksum mismatch: tile 1 is damaged" in page.inner_text("#message")
    page.click("#keep")
    wait(page, "done")
    np.testing.assert_array_equal(shown(page, 150, 90), decoded(hurt, damaged="keep"))
    assert "damaged" in page.inner_text("#status")
    assert page.is_disabled("#save")
    drop(page, ("cut.calo", photo[:-5]))
    page.wait_for_selector("#stage[data-right=failed]")
    assert "cut.calo: " in page.inner_text("#message")
    assert "truncated" in page.inner_text("#message")
    page.reload()
    drop(page, ("hurt.calo", hurt), ("cut.calo", photo[:-5]))  # of both it is said
    page.wait_for_selector("#stage[data-left=failed][data-right=failed]")
    lines = page.inner_text("#message").splitlines()
    assert [line.split(": ")[0] for line in lines] == ["hurt.calo", "cut.calo"]


def test_the_facts_of_a_damaged_file_are_what_can_be_read(site: Site, page: Any, photo: bytes) -> None:
    page.goto(site.root)
    drop(page, ("hurt.calo", damaged(photo)), ("empty.calo", b""))
    page.wait_for_selector("#stage[data-left=failed][data-right=failed]")
    page.click("#facts")
    probed = calotype.probe(damaged(photo))
    titles = page.locator("#panel h2").all_inner_texts()
    assert titles == ["hurt.calo", "Chunks", "empty.calo"]
    first, second, third = (table.inner_text() for table in page.locator("#panel table").all())
    facts = dict(line.split("\t")[:2] for line in first.splitlines())
    assert (facts["width"], facts["height"], facts["pack_id"]) == ("150", "90", probed["pack_id"])
    assert "tile 1 is damaged" in facts["not shown"]
    assert facts["error"] == "a checksum is wrong: the file is damaged"
    assert [line.split("\t")[4] for line in second.splitlines()] == ["crc", "ok", "wrong", *["ok"] * 4]
    assert third.splitlines()[0].startswith("not shown\t")
    assert "0 × 0" not in page.inner_text("#panel")


def test_foreign_files_and_names_are_text(site: Site, page: Any, photo: bytes) -> None:
    page.goto(site.root)
    drop(
        page,
        ("<img src=x onerror=alert(1)>.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(2)'/>"),
    )
    page.wait_for_selector("#trouble")
    assert "<img src=x onerror=alert(1)>.svg: neither a .calo file" in page.inner_text("#message")
    drop(page, ("<b>bold</b>.calo", photo))
    wait(page, "done")
    page.click("#facts")
    assert page.inner_text("#panel h2") == "<b>bold</b>.calo"
    assert page.locator("#panel b, main img, #stage b").count() == 0


def test_hostile_files_do_nothing(site: Site, page: Any) -> None:
    """Each is refused with its message, or shown; the page works on. Every fourth of them: test_library.py
    reads all.
    """
    page.goto(site.root)
    known = json.loads((HOSTILE / "index.json").read_text("utf-8"))
    for name in list(known)[::4]:
        data = (HOSTILE / name).read_bytes()
        page.evaluate("document.getElementById('message').textContent = ''")
        drop(page, (name, data))
        page.wait_for_selector("#stage[data-left=failed], #stage[data-left=done]", state="attached")
        message = page.inner_text("#message")
        assert message.startswith(f"{name}: "), name
        assert "\n" not in message
    assert {path for path in site.asked if path.startswith("/tiny/")} <= {"/tiny/manifest.json"}


def test_the_page_runs_no_script_but_its_own(site: Site, page: Any) -> None:
    page.goto(site.root)
    refused = page.evaluate(
        """() => new Promise(done => {
          document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
          document.body.setAttribute("onclick", "document.title = 'it ran'");
          document.body.click();
          setTimeout(done, 60000);
        })"""
    )
    assert refused == "script-src-attr"
    assert page.title() == "Calotype viewer"
    page.goto(f"{site.root}?src=https://example.org/x.calo&src=//example.org/y.calo&src=data:,z.calo")
    page.wait_for_selector("#trouble")
    assert page.locator("#stage").is_hidden()


def test_a_pack_is_fetched_once_and_checked(site: Site, page: Any, photo: bytes) -> None:
    site.things["/photo.calo"] = photo
    page.goto(f"{site.root}?src=photo.calo")
    wait(page, "done")
    page.reload()
    wait(page, "done")
    large = [path for path in site.asked if path.endswith(".safetensors")]
    assert sorted(large) == ["/tiny/networks.safetensors", "/tiny/tables.safetensors"]
    # What is kept is damaged: the pack is fetched again.
    page.evaluate(
        """async () => {
          const cache = await caches.open("calotype-packs");
          for (const key of await cache.keys()) await cache.put(key, new Response("damaged"));
        }"""
    )
    page.reload()
    wait(page, "done")
    np.testing.assert_array_equal(shown(page, 150, 90), decoded(photo))
    # A pack that is not what its manifest says is refused.
    site.things["/tiny/networks.safetensors"] = b"foreign"
    page.evaluate("() => caches.delete('calotype-packs')")
    page.reload()
    page.wait_for_selector("#stage[data-left=failed]")
    assert "pack" in page.inner_text("#message")

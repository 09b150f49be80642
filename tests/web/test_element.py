"""Pages of others with one script of ours: .calo files in img and calo-img."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pytest
from tests.golden import scene
from tests.web.conftest import Site, calo, damaged, decoded, rgba, serve

HEAD = """<!DOCTYPE html><meta name="calotype-packs" content="/tiny">
<script type="module" src="decoder/calotype-img.js"></script>"""
WATCH = """<script>
  window.told = [];
  for (const name of ["calo-preview", "calo-done", "calo-error"])
    addEventListener(name, e => told.push([name, e.target.id, e.detail.message ?? "", e.detail.kind]));
</script>"""
PIXELS = """async id => {
  const found = document.getElementById(id), img = found.shadowRoot?.querySelector("img") ?? found;
  const picture = await createImageBitmap(await (await fetch(img.src)).blob()), {width, height} = picture;
  const canvas = new OffscreenCanvas(width, height), ctx = canvas.getContext("2d");
  ctx.drawImage(picture, 0, 0);
  const {data} = ctx.getImageData(0, 0, width, height);
  return [width, height, btoa(Array.from(data, byte => String.fromCharCode(byte)).join(""))];
}"""
DONE = "count => told.filter(([name]) => name !== 'calo-preview').length === count"


def pixels(page: Any, name: str) -> np.ndarray:
    width, height, values = page.evaluate(PIXELS, name)
    return rgba(values, width, height)


def test_images_show_their_files(site: Site, page: Any, photo: bytes) -> None:
    grey = calo(scene(40, 60, 3)[:, :, :1])
    site.things |= {
        "/photo.calo": photo,
        "/grey.calo": grey,
        "/hurt.calo": damaged(photo),
        "/page.html": f"""{HEAD}{WATCH}<img id="plain" src="photo.calo">
          <img id="hurt" src="hurt.calo" alt="gone">
          <calo-img id="element" src="grey.calo?x=1" alt="a grey picture"></calo-img>
          <img id="other" src="icon.svg">""".encode(),
    }
    page.goto(f"{site.root}page.html")
    page.wait_for_function(DONE, arg=3)
    np.testing.assert_array_equal(pixels(page, "plain"), decoded(photo))
    np.testing.assert_array_equal(pixels(page, "element"), decoded(grey))
    assert page.evaluate("element.shadowRoot.querySelector('img').alt") == "a grey picture"
    told = {(name, where): message for name, where, message, _ in page.evaluate("told")}
    assert "tile 1 is damaged" in told["calo-error", "hurt"]
    assert page.evaluate("other.src").endswith("/icon.svg")
    # Another file, and images that come later.
    page.evaluate(
        """() => {
          plain.src = "grey.calo";
          document.body.append(Object.assign(new Image(), {id: "late", src: "photo.calo"}));
        }"""
    )
    page.wait_for_function(DONE, arg=5)
    np.testing.assert_array_equal(pixels(page, "plain"), decoded(grey))
    np.testing.assert_array_equal(pixels(page, "late"), decoded(photo))


def half_loaded(site: Site, page: Any, data: bytes, body: str) -> threading.Event:
    """A page whose photo.calo stops at two thirds, when it shows its preview; the event lets it go on."""
    gate = threading.Event()
    site.gates["/photo.calo"] = len(data) * 2 // 3, gate
    site.things |= {"/photo.calo": data, "/page.html": f"{HEAD}{WATCH}{body}".encode()}
    page.goto(f"{site.root}page.html")
    page.wait_for_function("told.length > 0")
    return gate


def test_the_preview_comes_first_and_nothing_moves(site: Site, page: Any, long: bytes) -> None:
    gate = half_loaded(site, page, long, '<calo-img id="it" src="photo.calo"></calo-img>')
    size = "(({width, height}) => [width, height])(it.getBoundingClientRect())"
    assert page.evaluate("told")[0][:2] == ["calo-preview", "it"]
    page.wait_for_function(f"{size}.join() === '300,180'")
    assert pixels(page, "it").shape == (23, 38, 4)
    gate.set()
    page.wait_for_function(DONE, arg=1)
    assert page.evaluate(size) == [300, 180]
    np.testing.assert_array_equal(pixels(page, "it"), decoded(long))


def test_a_lazy_image_is_read_when_it_comes_near(site: Site, page: Any, photo: bytes) -> None:
    site.things |= {
        "/photo.calo": photo,
        "/page.html": f"""{HEAD}{WATCH}<div style="height: 9000px"></div>
          <calo-img id="it" src="photo.calo" loading="lazy"></calo-img>
          <calo-img id="top" src="photo.calo?2"></calo-img>
          <script>document.body.prepend(document.getElementById("top"))</script>""".encode(),
    }
    page.goto(f"{site.root}page.html")
    page.wait_for_function("told.some(([name, id]) => name === 'calo-done' && id === 'top')")
    assert page.evaluate("told.every(([name, id]) => id === 'top')")
    page.evaluate("it.scrollIntoView()")
    page.wait_for_function("told.some(([name, id]) => name === 'calo-done' && id === 'it')")
    np.testing.assert_array_equal(pixels(page, "it"), decoded(photo))


def test_the_script_may_come_from_elsewhere(site: Site, page: Any, photo: bytes) -> None:
    """From another origin, as of a content delivery network: workers start all the same."""
    here, server = serve({"/photo.calo": photo})
    address = f"{site.root}decoder/calotype-img.js"
    head = HEAD.replace("/tiny", f"{here.root}tiny").replace("decoder/calotype-img.js", address)
    here.things |= {path: data for path, data in site.things.items() if path.startswith("/tiny")}
    here.things["/page.html"] = f'{head}{WATCH}<calo-img id="it" src="photo.calo"></calo-img>'.encode()
    # What serves the script must allow that others read it.
    page.route(f"{site.root}**", lambda route: route.fulfill(
        response=(answer := route.fetch()), headers={**answer.headers, "access-control-allow-origin": "*"}
    ))  # fmt: skip
    page.goto(f"{here.root}page.html")
    page.wait_for_function(DONE, arg=1)
    np.testing.assert_array_equal(pixels(page, "it"), decoded(photo))
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("how", ["put back", "copied"])
def test_an_image_that_leaves_the_page_while_it_loads_starts_anew(
    site: Site, page: Any, long: bytes, how: str
) -> None:
    """Also a copy of one that shows a preview, whose sizes are those of the picture that it is to become."""
    gate = half_loaded(site, page, long, '<img id="it" src="photo.calo">')
    assert page.evaluate("[it.src.slice(0, 5), it.dataset.caloSrc, it.width]") == ["blob:", "photo.calo", 300]
    page.evaluate(
        """async how => {
          const gone = document.getElementById("it");
          gone.remove();
          await new Promise(done => setTimeout(done)); // others have heard of it by now
          document.body.append(how === "copied" ? gone.cloneNode() : gone);
        }""",
        how,
    )
    gate.set()
    page.wait_for_function(DONE, arg=1)
    assert page.evaluate("told.at(-1)")[:2] == ["calo-done", "it"]
    assert site.asked.count("/photo.calo") >= 2
    np.testing.assert_array_equal(pixels(page, "it"), decoded(long))
    assert page.evaluate("[it.hasAttribute('width'), it.style.aspectRatio, it.naturalWidth]") == [
        False,
        "",
        300,
    ]


def test_an_image_that_leaves_the_page_may_become_another(site: Site, page: Any, photo: bytes) -> None:
    """What it was is forgotten then; one that was there in full shows it still when it comes back."""
    site.things |= {
        "/photo.calo": photo,
        "/page.html": f"""{HEAD}{WATCH}<img id="same" src="photo.calo">
          <img id="other" src="photo.calo">""".encode(),
    }
    page.goto(f"{site.root}page.html")
    page.wait_for_function(DONE, arg=2)
    asked = site.asked.count("/photo.calo")
    page.evaluate(
        """async () => {
          const both = [same, other];
          for (const img of both) img.remove();
          await new Promise(done => setTimeout(done));
          both[1].src = "icon.svg";
          document.body.append(...both);
          await both[1].decode();
        }"""
    )
    assert page.evaluate("[same.naturalWidth, other.dataset.caloSrc ?? null]") == [150, None]
    assert page.evaluate("other.src").endswith("/icon.svg")
    assert site.asked.count("/photo.calo") == asked
    # A copy of what is gone has nothing to show, until it is decoded again.
    page.evaluate("document.body.append(Object.assign(same.cloneNode(), {id: 'copy'}))")
    page.wait_for_function(DONE, arg=3)
    np.testing.assert_array_equal(pixels(page, "copy"), decoded(photo))


def test_an_address_without_a_pack_does_not_hide_the_others(site: Site, page: Any, photo: bytes) -> None:
    """Servers that answer everything with their start page, and JSON that is something else."""
    html, image = b"<!DOCTYPE html><title>Start</title>", '<img id="it" src="photo.calo">'
    head = f"{HEAD}{WATCH}{image}"
    site.things |= {
        "/none/manifest.json": html,
        "/null/manifest.json": b"null",
        "/list/manifest.json": b'{"id": [1]}',
        "/photo.calo": photo,
        "/page.html": head.replace("/tiny", "/none /null /list /tiny").encode(),
        "/lost.html": head.replace("/tiny", "/none").encode(),
        "/unnamed.html": re.sub("<meta[^>]*>", "", head).encode(),
        "/decoder/packs.json": html,
    }
    page.goto(f"{site.root}page.html")
    page.wait_for_function(DONE, arg=1)
    np.testing.assert_array_equal(pixels(page, "it"), decoded(photo))
    for name, why in (
        ("lost", "none/manifest.json is not the manifest of a pack"),
        ("unnamed", "is not a list of packs"),
    ):
        page.goto(f"{site.root}{name}.html")
        page.wait_for_function(DONE, arg=1)
        _, _, message, kind = page.evaluate("told.at(-1)")
        assert why in message
        assert kind == "pack"

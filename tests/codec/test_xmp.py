"""XMP: all of it is kept, wherever it lies, and it promises nothing that is lost."""

from __future__ import annotations

import hashlib
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from calotype.cli.writing import to_file
from calotype.codec import xmp
from calotype.codec.image import Picture

from . import files

PIXELS = np.full((16, 16, 3), 120, np.uint8)
NAMES = (
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
)


def packet(inside: str, more: str = "", attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {NAMES} {more}><rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def extended(words: str, *, lose: bool = False) -> bytes:
    """A JPEG with a packet and an extension of several pieces."""
    extension = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {NAMES} xmlns:a="urn:a"><rdf:Description rdf:about="">'
        f"<a:long>{words}</a:long></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
    name = hashlib.md5(extension).hexdigest().upper()
    pieces = range(0, len(extension), 50_000)
    segments = [
        xmp.EXTENSION + name.encode() + struct.pack(">II", len(extension), k) + extension[k : k + 50_000]
        for k in pieces
    ]
    extra = b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in reversed(segments[lose:]))
    main = packet("<dc:title>short</dc:title>", attributes=f'xmpNote:HasExtendedXMP="{name}"')
    return files.saved(Image.fromarray(PIXELS), "JPEG", xmp=main, extra=extra)


def text_of(data: bytes | None, tag: str) -> str | None:
    assert data is not None
    start, end = data.index(b"<x:xmpmeta"), data.index(b"</x:xmpmeta>") + 12
    found = ElementTree.fromstring(data[start:end]).find(f".//{{{tag.split(' ')[0]}}}{tag.split(' ')[1]}")
    return None if found is None else found.text


@pytest.mark.parametrize("length", [100, 70_000, 150_000])
def test_extended_xmp_is_put_together(length: int) -> None:
    words = "".join(chr(97 + k % 26) for k in range(length))
    picture = Picture.from_pil(files.opened(extended(words)))
    assert picture.notes == ()
    assert text_of(picture.xmp, "urn:a long") == words
    assert text_of(picture.xmp, "http://purl.org/dc/elements/1.1/ title") == "short"
    assert b"HasExtendedXMP" not in (picture.xmp or b"")


def test_extended_xmp_that_is_incomplete_is_said() -> None:
    picture = Picture.from_pil(files.opened(extended("a" * 120_000, lose=True)))
    assert text_of(picture.xmp, "http://purl.org/dc/elements/1.1/ title") == "short"
    assert any("extended" in note for note in picture.notes)
    assert b"HasExtendedXMP" not in (picture.xmp or b"")


def test_xmp_that_was_removed_stays_away() -> None:
    image = files.opened(extended("a" * 120_000))
    del image.info["xmp"]
    assert Picture.from_pil(image).xmp is None


@pytest.mark.parametrize("length", [60_000, 66_000, 200_000])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_long_xmp_goes_through_every_format(form: str, length: int) -> None:
    words = "".join(chr(97 + k % 26) for k in range(length))
    picture = Picture(PIXELS, xmp=packet(f"<dc:title>{words}</dc:title>"))
    data, notes = to_file(picture.to_pil(), form)
    assert notes == []
    back = Picture.from_pil(files.opened(bytes(data)))
    assert text_of(back.xmp, "http://purl.org/dc/elements/1.1/ title") == words


def raw_profile(kind: str, data: bytes, junk: str = "") -> Image.Image:
    """A PNG as ImageMagick wrote them."""
    digits = data.hex()
    lines = "\n".join(digits[k : k + 72] for k in range(0, len(digits), 72))
    text = PngImagePlugin.PngInfo()
    text.add_text(f"Raw profile type {kind}", f"\n{kind}\n{len(data):8}\n{lines}\n{junk}", zip=True)
    return files.opened(files.saved(Image.fromarray(PIXELS), "PNG", pnginfo=text))


@pytest.mark.parametrize("junk", ["", '\n$"\x1d junk!', "00ff"])
def test_raw_profiles_of_png(junk: str) -> None:
    fields = Image.Exif()
    fields[0x010F] = "Calotype"
    exif = fields.tobytes()
    xml = packet("<dc:title>words</dc:title>")
    assert Picture.from_pil(raw_profile("xmp", xml, junk)).xmp == xml
    notes = Picture.from_pil(raw_profile("xmp", xml, junk)).notes
    assert any("damaged" in note for note in notes) == bool(junk)
    assert Picture.from_pil(raw_profile("APP1", xmp.STANDARD + xml, junk)).xmp == xml
    for kind, data in (("exif", exif), ("exif", exif[6:]), ("APP1", exif)):
        assert Picture.from_pil(raw_profile(kind, data, junk)).exif == exif[6:]
    assert "IPTC" in Picture.from_pil(raw_profile("iptc", b"8BIM" + bytes(20), junk)).notes[0]


def test_raw_profiles_that_are_broken_are_left() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type xmp", "\nxmp\n 99\nnot hex")
    text.add_text("Raw profile type exif", "nothing")
    picture = Picture.from_pil(files.opened(files.saved(Image.fromarray(PIXELS), "PNG", pnginfo=text)))
    assert (picture.xmp, picture.exif) == (None, None)


GAIN = (
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
    'xmlns:Container="http://ns.google.com/photos/1.0/container/"'
)
DIRECTORY = (
    "<Container:Directory><rdf:Seq><rdf:li><Container:Item Semantic='GainMap'/></rdf:li></rdf:Seq>"
    "</Container:Directory>"
)
PROMISES = {
    "attributes": (packet("", GAIN, 'hdrgm:Version="1.0" hdrgm:GainMapMax="3"'), "gain map"),
    "elements": (packet("<hdrgm:GainMapMax><rdf:Seq/></hdrgm:GainMapMax>", GAIN), "gain map"),
    "directory": (packet(DIRECTORY, GAIN, "hdrgm:Version='1.0'"), "gain map"),
    "other prefix": (
        packet("", 'xmlns:g="http://ns.adobe.com/hdr-gain-map/1.0/"', 'g:Version="1.0"'),
        "gain map",
    ),
    "apple": (packet("<H:V>1</H:V>", 'xmlns:H="http://ns.apple.com/HDRGainMap/1.0/"'), "gain map"),
    "motion": (packet("", 'xmlns:G="http://ns.google.com/photos/1.0/camera/"', 'G:MotionPhoto="1"'), "film"),
    "motion element": (
        packet("<G:MicroVideo>1</G:MicroVideo>", 'xmlns:G="http://ns.google.com/photos/1.0/camera/"'),
        "film",
    ),
}


@pytest.mark.parametrize("name", PROMISES)
def test_promises_of_what_is_lost_go_with_a_note(name: str) -> None:
    before, said = PROMISES[name]
    before = before.replace(b"</rdf:Description>", b"<dc:title>kept</dc:title></rdf:Description>")
    image = Image.fromarray(PIXELS)
    image.info["xmp"] = before
    picture = Picture.from_pil(image)
    assert len(picture.notes) == 1
    assert said in picture.notes[0]
    assert text_of(picture.xmp, "http://purl.org/dc/elements/1.1/ title") == "kept"
    for word in (b"GainMap", b"gain-map", b"Motion", b"MicroVideo", b"Container"):
        assert word not in (picture.xmp or b"")


def test_a_packet_that_breaks_when_mended_is_left_out() -> None:
    kept, notes = xmp.without_promises(
        b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"><a></x:xmpmeta>'
    )
    assert kept is None
    assert any("XMP" in note for note in notes)


def test_ordinary_packets_are_kept_byte_for_byte() -> None:
    for data in (packet("<dc:title>a</dc:title>"), b"\xff\xfe\xfd", b"<not closed"):
        image = Image.fromarray(PIXELS)
        image.info["xmp"] = data
        assert (Picture.from_pil(image).xmp, Picture.from_pil(image).notes) == (data, ())

"""XMP packets: the one that a picture has, put together from where it lies, without promises of what is lost.

A JPEG holds at most 64 kB of XMP in one piece; the rest is *extended XMP* (XMP Specification, part 3,
1.1.3.1): further pieces, named by the MD5 of their sum, which the packet promises. Some packets also promise
what lies beside the picture in its file: a gain map, which makes an HDR picture of it, or the film of a
motion photo.
"""

from __future__ import annotations

import codecs
import re
import struct
from contextlib import suppress

from PIL import Image

EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
STANDARD = b"http://ns.adobe.com/xap/1.0/\0"
#: Most bytes of one piece in a JPEG.
PIECE = 65_400

GAIN_MAP = "left out: the gain map of an HDR picture, which looks as on a screen without HDR"

_PROMISE = re.compile(rb"""<xmpNote:HasExtendedXMP>\s*(\w+)\s*</xmpNote:HasExtendedXMP>|"""
                      rb"""\sxmpNote:HasExtendedXMP\s*=\s*["'](\w+)["']""")  # fmt: skip
_RDF = re.compile(rb"<rdf:RDF\b([^>]*)>(.*)</rdf:RDF\s*>", re.DOTALL)
_XMLNS = re.compile(rb"""xmlns:([\w.-]+)\s*=\s*(["'])(.*?)\2""", re.DOTALL)
#: Vocabularies about pictures beside the first one: what they are, and all of whose properties go.
_BESIDE = {
    b"http://ns.adobe.com/hdr-gain-map/1.0/": "gain map",
    b"http://ns.apple.com/HDRGainMap/1.0/": "gain map",
    b"http://ns.google.com/photos/1.0/container/": "",
}
_FILM = rb"[\w.-]+:(?:MotionPhoto|MicroVideo)\w*"
_MOTION = re.compile(rb"""\s%s\s*=\s*(["']).*?\1|<(%s)\b[^>]*>.*?</\2\s*>""" % (_FILM, _FILM), re.DOTALL)


def read(image: Image.Image) -> tuple[bytes | None, tuple[str, ...]]:
    """The packet of a Pillow image, if any, and notes on what of it could not be kept."""
    info = image.info
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode("utf-8")
    if not packet:
        for name in ("Raw profile type xmp", "Raw profile type APP1"):
            raw = raw_profile(info.get(name))
            if raw and not raw.startswith(b"Exif\0\0"):
                packet = raw.removeprefix(STANDARD)
    if not isinstance(packet, (bytes, bytearray)) or not packet:
        return None, ()
    packet, notes = _whole(bytes(packet), getattr(image, "applist", ()))
    kept, broken = without_promises(packet)
    return kept, (*notes, *broken)


def bare(packet: bytes | str | None) -> bytes | None:
    """A packet as bytes, without what JPEG puts before it; None for nothing."""
    data = packet.encode("utf-8") if isinstance(packet, str) else packet
    return bytes(data or b"").removeprefix(STANDARD) or None


def text(packet: bytes) -> str:
    """A packet as a text: in UTF-8, or in UTF-16 behind its mark. Raises ValueError for neither."""
    wide = packet.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return packet.decode("utf-16" if wide else "utf-8")


def is_readable(packet: bytes) -> bool:
    """Whether a packet is well-formed XML, of which XMP is made, in any encoding; and without a DTD."""
    from xml.etree import ElementTree  # late: few need it

    ended = packet.rstrip(b"\0")  # some programs pad with them; in UTF-16 one may belong to the last letter
    for whole in (packet, ended, ended + b"\0"):
        with suppress(ElementTree.ParseError, ValueError, LookupError):
            ElementTree.fromstring(whole)
            return b"<!DOCTYPE" not in packet
    return False


def raw_profile(text: object) -> bytes | None:
    """The bytes of a ``Raw profile type ...`` text of a PNG (ImageMagick's): a name, a length, hex digits."""
    length, digits, _ = _raw(text)
    return bytes.fromhex(digits[: 2 * length]) if 0 < 2 * length <= len(digits) else None


def has_junk(text: object) -> bool:
    """Whether there is more in such a text than the bytes that it announces."""
    length, digits, rest = _raw(text)
    return bool(length and (len(digits) > 2 * length or rest.strip()))


def _raw(text: object) -> tuple[int, str, str]:
    """Announced length, hex digits, what follows them."""
    match = re.match(r"\s*\S+\s+(\d+)\s+([0-9A-Fa-f\s]*)", text) if isinstance(text, str) else None
    if not isinstance(text, str) or match is None:
        return 0, "", ""
    return int(match[1]), "".join(match[2].split()), text[match.end() :]


def _whole(packet: bytes, segments: object) -> tuple[bytes, tuple[str, ...]]:
    """The packet with the extended part that it promises put in; without the promise in any case."""
    promise = _PROMISE.search(packet)
    if promise is None:
        return packet, ()
    name = promise[1] or promise[2]
    plain = _PROMISE.sub(b"", packet)
    extension = _extension(name, segments)
    joined = extension and _join(plain, extension)
    return (joined, ()) if joined else (plain, ("the extended part of its XMP is missing or damaged",))


def _extension(name: bytes, segments: object) -> bytes | None:
    pieces, size = {}, -1
    for _, data in segments if isinstance(segments, list) else ():
        lead = len(EXTENSION) + 40
        if data.startswith(EXTENSION + name) and len(data) > lead:
            size, offset = struct.unpack(">II", data[lead - 8 : lead])
            pieces[offset] = data[lead:]
    whole = b"".join(pieces[offset] for offset in sorted(pieces))
    return whole if len(whole) == size else None


def _join(packet: bytes, extension: bytes) -> bytes | None:
    """Both packets' descriptions under one roof; None if they do not go together."""
    ours, theirs = _RDF.search(packet), _RDF.search(extension)
    if ours is None or theirs is None:
        return None
    roof = extension[: theirs.start(2)]
    known = {prefix: uri for prefix, _, uri in _XMLNS.findall(packet[: ours.start(2)])}
    names = {prefix: uri for prefix, _, uri in _XMLNS.findall(roof)}
    if any(known.get(prefix, uri) != uri for prefix, uri in names.items()):
        return None
    added = b"".join(b' xmlns:%s="%s"' % item for item in names.items() if item[0] not in known)
    at, end = ours.end(1), ours.end(2)
    joined = packet[:at] + added + packet[at:end] + theirs[2].strip() + b"\n" + packet[end:]
    return joined if _sound(joined) else None


def without_promises(packet: bytes) -> tuple[bytes | None, tuple[str, ...]]:
    """The packet without what it says of gain maps and films that do not come along, and notes on them."""
    kept, lost = _MOTION.sub(b"", packet), []
    if kept != packet:
        lost.append("left out: the film of a motion photo")
    for uri, what in _BESIDE.items():
        for prefix, _, known in _XMLNS.findall(packet):
            if known == uri:
                kept = _without(kept, prefix)
                if what or b"GainMap" in packet:
                    lost.append(GAIN_MAP)
    if kept == packet:
        return packet, ()
    notes = tuple(dict.fromkeys(lost))
    if not _sound(kept):
        return None, (*notes, "left out: XMP, which promises it")
    return kept, notes


def _without(packet: bytes, prefix: bytes) -> bytes:
    """The packet without the properties of a vocabulary, as elements and as attributes."""
    name = re.escape(prefix)
    quoted = rb"""\s*=\s*(["']).*?\1"""
    for pattern in (
        rb"<%s:[\w.-]+\b[^>]*/>" % name,
        rb"<%s:([\w.-]+)\b[^>]*>.*?</%s:\1\s*>" % (name, name),
        rb"\s%s:[\w.-]+" % name + quoted,
        rb"\sxmlns:%s" % name + quoted,
    ):
        packet = re.sub(pattern, b"", packet, flags=re.DOTALL)
    return packet


def _sound(packet: bytes) -> bool:
    from xml.etree import ElementTree  # late: few need it

    match = re.search(rb"<(x:xmpmeta|rdf:RDF)\b.*</\1\s*>", packet, re.DOTALL)
    try:
        return match is not None and ElementTree.fromstring(match[0]) is not None
    except ElementTree.ParseError:
        return False


def jpeg_segments(packet: bytes) -> bytes:
    """A packet that is too long for one piece, as segments of a JPEG: a small packet and extended XMP."""
    match = re.search(rb"<(x:xmpmeta|rdf:RDF)\b.*</\1\s*>", packet, re.DOTALL)
    extension = match[0] if match else packet
    import hashlib  # late: as above

    name = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()
    small = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        b'xmpNote:HasExtendedXMP="' + name + b'"/></rdf:RDF></x:xmpmeta>'
    )
    segments = [STANDARD + small]
    for start in range(0, len(extension), PIECE):
        place = struct.pack(">II", len(extension), start)
        segments.append(EXTENSION + name + place + extension[start : start + PIECE])
    return b"".join(b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data for data in segments)

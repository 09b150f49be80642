"""``calotype view FILE...``: the viewer's page in the browser, with files of this machine."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from calotype.cli.options import parse, parser
from calotype.page import home

_EPILOG = """\
examples:
  calotype view photo.calo                 the picture, its facts and tiles
  calotype view photo.calo photo.jpg       side by side, with a line to slide between them
  calotype view --copy-to public           the page itself, with its packs, for any web server

The page is served on 127.0.0.1, to this machine alone, under an address that cannot be guessed, and nothing
but the files that are named. To compare with, AVIF files are made of what the page sends. It ends when the
page is closed, or with Ctrl-C.
"""
PAGE = ("*.html", "*.css", "*.js", "*.svg", "decoder/*.js", "decoder/*.wasm", "photos/*.j*")
"""The page's files; decoder/packs.json, which says where packs are, is made anew in each place. A wheel
has no photographs.
"""

PREVIEW = "preview.safetensors"
"""In the packs that ``--copy-to`` writes: the networks that previews need; the manifest has its hash."""
MOST = 4 << 24
"""Bytes of a picture that is sent to be made an AVIF file: as many pixels as the page encodes."""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = _parser()
    given = parse(options, arguments)
    if not 0 <= given.port < 65536:
        options.error(f"--port must be from 0 to 65535, is {given.port}")
    if given.copy_to is not None:
        if given.paths:
            options.error("--copy-to writes the page alone: name no FILE with it")
        _copy(Path(given.copy_to))
        print(f"{given.copy_to}: index.html and what it needs")
        return 0
    return _view(given)


def _parser() -> argparse.ArgumentParser:
    options = parser("view", "Look at .calo files, alone or beside other pictures, in the browser.", _EPILOG)
    options.add_argument("paths", nargs="*", metavar="FILE", help=".calo files and other pictures")
    options.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    options.add_argument("--port", type=int, default=0, metavar="N", help="default: any that is free")
    options.add_argument("--stay", action="store_true", help="go on when the page is closed, until Ctrl-C")
    options.add_argument("--pack", metavar="PACK", help="folder or .zip of a pack, besides those known")
    options.add_argument("--copy-to", metavar="FOLDER", help="write the page for a web server, and end")
    return options


def _view(given: argparse.Namespace) -> int:
    import webbrowser

    from calotype.cli import rivals
    from calotype.cli.serving import Server
    from calotype.codec import library, manifest

    page = home()
    for path in given.paths:
        with Path(path).open("rb"):  # say at once what cannot be read
            pass
    if given.pack is not None:
        library.load(given.pack)  # the same for a pack
    with Server(given.port) as server:
        for name in files(page):
            server.add(name, page / name)
        packs = [*([Path(given.pack)] if given.pack is not None else []), *_packs()]
        for number, pack in enumerate(packs):
            for name in (manifest.NAME, *sorted(manifest.FILES)):
                server.add(f"packs/{number}/{name}", partial(manifest.read, pack, name))
        places = [f"../packs/{number}" for number in range(len(packs))]
        # The port is another one each time: what the browser kept for this page would never be used again.
        listed = json.dumps({"packs": places, "keep": False}).encode()
        server.add("decoder/packs.json", lambda: listed)
        sources = [
            server.add(f"files/{number}/{Path(path).name}", Path(path))
            for number, path in enumerate(given.paths)
        ]
        more = [("alive", "1")]
        if "AVIF" in rivals.names():
            server.take("avif", "image/avif", MOST, _avif)
            more.append(("avif", "1"))
        address = server.root + "?" + urlencode([("src", source) for source in sources] + more)
        try:
            print(f"{address}\nCtrl-C ends it", flush=True)
            if not given.no_browser:
                webbrowser.open(address)
            server.run(given.stay)
        except KeyboardInterrupt:
            print()
    return 0


def _avif(query: dict[str, str], rgba: bytes) -> bytes:
    """Raises ValueError for what is no picture."""
    from calotype.cli import rivals

    width, height, quality = (int(query.get(name, "")) for name in ("width", "height", "quality"))
    return rivals.avif(rgba, width, height, quality)


def files(page: Path) -> list[str]:
    """Names of the page's files, relative to it."""
    return sorted(path.relative_to(page).as_posix() for pattern in PAGE for path in page.glob(pattern))


def preview_part(networks: bytes) -> bytes:
    """The file of a pack's networks with weights of 0 where previews need none, which then take no space.

    A page shows a preview once this is there, long before all of the pack is.
    """
    start = 8 + int.from_bytes(networks[:8], "little")
    part = bytearray(networks)
    for name, entry in json.loads(networks[8:start]).items():
        if name.endswith(".weight") and not name.startswith(("mean.low", "preview.")):
            first, end = entry["data_offsets"]
            part[start + first : start + end] = bytes(end - first)
    return bytes(part)


def _packs() -> list[Path]:
    """Those that are known, the one that is encoded with unless another is named at first."""
    from calotype.codec import library

    return sorted(library.paths(), key=lambda path: path.stem != library.DEFAULT)


def _copy_packed(source: Path, folder: Path) -> None:
    """A file of a pack, compressed: in the package it may not be, and this one goes over the wire."""
    if source.suffix == ".gz":
        shutil.copyfile(source, folder / source.name)
    else:
        (folder / f"{source.name}.gz").write_bytes(gzip.compress(source.read_bytes(), mtime=0))


def _copy(target: Path) -> None:
    """The page with the packs of the package, for any web server. Raises FileExistsError, OSError."""
    from calotype.codec import manifest

    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} is not empty")
    page = home()
    for name in files(page):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page / name, target / name)
    places = []
    for pack in _packs():
        folder = target / "packs" / pack.stem
        if not pack.is_dir() or folder.exists():
            continue
        folder.mkdir(parents=True)
        for name in sorted(manifest.FILES):
            _copy_packed(manifest.stored(pack, name), folder)
        part = preview_part(manifest.read(pack, manifest.NETWORKS))
        (folder / f"{PREVIEW}.gz").write_bytes(gzip.compress(part, mtime=0))
        fields = json.loads(manifest.read(pack, manifest.NAME))
        fields["preview"] = hashlib.sha256(part).hexdigest()
        (folder / manifest.NAME).write_text(json.dumps(fields, indent=2) + "\n", "utf-8")
        places.append(f"../packs/{pack.stem}")
    (target / "decoder" / "packs.json").write_text(json.dumps(places) + "\n", "utf-8")

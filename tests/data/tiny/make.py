"""Makes ``tiny.zip``, a pack with all that the format has at a hundredth of the size, and the golden files;
the fuzzer's corpus becomes one of that pack.

    python -m tests.data.tiny.make

Needs calotype[lab]. A pack made again is another pack with other files, so what is committed stays until
the format changes, which after a release it does not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tests.golden import Case, scene, store
from tests.reader_file import varint

from calotype.codec import manifest
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.lab.export import Statistics, export
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_latents import HyperModel, Mean, Scales
from calotype.lab.models.calotype_start import start
from calotype.lab.models.calotype_walk import LOW

HERE = Path(__file__).parent
SIZES = {"latents": 32, "width": 24, "narrow": 4, "narrow16": 4, "wide16": 4, "render": 4}
SIZES |= {"analysis_blocks": (1, 1), "synthesis_blocks": (1, 1), "lambdas": (0.001, 0.02, 0.2)}


def crops(seed: int, count: int = 8) -> torch.Tensor:
    pictures = np.stack([scene(128, 128, 1000 * seed + k) for k in range(count)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255.0


def make_pack() -> None:
    torch.manual_seed(5)
    HyperModel.NARROW = 6
    Scales.WIDE, Scales.LOW_HIDDEN, Scales.REDUCED, Scales.HIGH_HIDDEN, Scales.MIX = 10, 6, 5, 9, 7
    Mean.LOW_HIDDEN, Mean.REDUCED, Mean.HIDDEN = 16, 32, 16
    Statistics.RADIUS = 40  # short tables, and so some escapes
    model = Calotype(Config.from_dict(SIZES))
    start(model, crops, batches=4)
    with torch.no_grad():
        model.levels.high_bias -= torch.linspace(0, 25, SIZES["latents"] - LOW)  # so that some are skipped
        for net in (model.latents.scales, model.latents.hyper_model):
            for parameter in net.parameters():
                if parameter.requires_grad:
                    parameter += 0.1 * parameter.abs().mean().clamp(min=0.02) * torch.randn_like(parameter)
        for layer in (model.latents.hyper.reduce, model.latents.hyper.conv):
            layer.weight.zero_()
        for parameter in (
            *model.latents.mean.parameters(),
            *model.analysis.parameters(),
            *model.synthesis.parameters(),
        ):
            significand, exponent = torch.frexp(parameter)  # few bits: they compress well
            parameter.copy_(torch.ldexp((significand * 8).round() / 8, exponent))
            parameter[parameter.abs() < 0.02 * parameter.abs().max()] = 0
    model.eval()
    statistics = Statistics()
    for seed in range(20, 26):
        statistics.add(model, crops(seed), torch.arange(8) / 7 * 2)
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "tiny"
        export(model, statistics, pack, name="tiny", calibration=(crops(40), torch.arange(8) / 7 * 2))
        restore(pack)
        with zipfile.ZipFile(HERE / "tiny.zip", "w", zipfile.ZIP_LZMA) as archive:
            for file in (manifest.NAME, *sorted(Pack(pack).manifest.files)):
                archive.writestr(zipfile.ZipInfo(file), manifest.read(pack, file), zipfile.ZIP_LZMA)


def restore(pack: Path) -> None:
    """Give it a filter, fitted to what it makes of some scenes."""
    photos = pack.parent / "scenes"
    photos.mkdir()
    for k in range(12):
        Image.fromarray(scene(208, 208, 3000 + k)).save(photos / f"{k}.png")
    script = HERE.parents[2] / "training" / "restoration.py"
    options = (photos, "--out", pack, "--each", "1", "--side", "192")
    subprocess.run([sys.executable, script, pack, *options], check=True)


def for_pack(data: bytes, key: bytes) -> bytes:
    """A file, whole or damaged, as one of another pack: checksums that were right are right again."""
    try:
        start = varint(data, varint(data, 11)[1])[1]
    except (IndexError, ValueError):
        return data
    was, header = data[:start], data[:5] + key + data[9:start]
    found, at, index = header, start, 0
    while at < len(data):
        try:
            length, body = varint(data, at + 1)
        except (IndexError, ValueError):
            break
        place = (index if (tile := data[at] in (1, 4)) else 0).to_bytes(4, "little")
        end = body + length
        rest = data[at:body] + place + data[body:end]
        crc = zlib.crc32(rest, zlib.crc32(was)).to_bytes(4, "little")
        right = data[end : end + 4] == crc
        now = zlib.crc32(rest, zlib.crc32(header)).to_bytes(4, "little")
        found += data[at:end] + (now if right else data[end : end + 4])
        at, index = end + 4, index + tile
    return found + data[at:]


def rename_corpus(old: bytes, new: bytes) -> None:
    """The files of the fuzzer's corpus that the pack before could read are for this one."""
    corpus = HERE.parent / "fuzz" / "files.zip"
    with zipfile.ZipFile(corpus) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(corpus, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in files.items():
            mine = for_pack(data, new) if data[5:9] == old else data
            archive.writestr(zipfile.ZipInfo(name), mine, zipfile.ZIP_LZMA)


def pictures() -> Iterator[Case]:
    """Name, picture, quality and tile of each golden file."""
    rng = np.random.default_rng(9)
    yield "one-pixel", Picture(scene(1, 1, 1)), 60, 1024
    yield "narrow", Picture(scene(301, 5, 2)), 30, 1024
    yield "odd", Picture(scene(77, 131, 3)), 47.3, 1024
    yield "tiles", Picture(scene(200, 300, 4)), 60, 128
    yield "grey", Picture(np.repeat(scene(90, 70, 5)[:, :, :1], 3, axis=2), grey=True), 80, 64
    yield "noise", Picture(rng.integers(0, 256, (64, 64, 3), np.uint8)), 95, 1024
    yield "flat", Picture(np.full((64, 96, 3), 200, np.uint8)), 0, 1024


if __name__ == "__main__":
    before = Pack(HERE / "tiny.zip").key
    make_pack()
    rename_corpus(before, Pack(HERE / "tiny.zip").key)
    store(HERE, [("", Pack(HERE / "tiny.zip"))], pictures)

"""``calotype probe``: every field of a .calo file by its name in docs/FORMAT.md."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING, Any

from calotype.cli import FAILURE
from calotype.cli.options import add_max_metadata, parse, parser, size
from calotype.cli.report import complain, print_json

if TYPE_CHECKING:
    from calotype.cli.batch import Buffer

_EPILOG = """\
examples:
  calotype probe photo.calo
  calotype probe photo.calo --bits                    what the bits went to, by stage of the file
  calotype probe photo.calo --map bits.png            and where in the picture
  calotype probe photo.calo --map bits.png --map-of low
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status, 1 also when a file is damaged."""
    options = parser("probe", "Show every field of a .calo file by its name in docs/FORMAT.md.", _EPILOG)
    options.add_argument("paths", nargs="+", metavar="FILE", help=".calo files; '-' is standard input")
    options.add_argument("--json", action="store_true", help="one JSON object per file")
    options.add_argument(
        "--max-pixels", type=size, metavar="N", help="describe larger pictures no further; default: 2^30"
    )
    add_max_metadata(options)
    options.add_argument(
        "--bits", action="store_true", help="what the bits of the tiles went to; needs the file's pack"
    )
    options.add_argument(
        "--map",
        metavar="PICTURE",
        help="draw the bits of each 16 x 16 pixels, such as bits.png; overwrites it",
    )
    options.add_argument(
        "--map-of",
        choices=("all", "z", "low", "high", "pixels", "layer"),
        help="draw those of a part; default: all",
    )
    options.add_argument("--pack", metavar="PACK", help="folder or .zip of a pack to look into first")
    given = parse(options, arguments)
    if given.map is not None and len(given.paths) > 1:
        options.error("--map draws one file")
    if given.map_of is not None and given.map is None:
        options.error("--map-of draws nothing without --map PICTURE")
    status = 0
    for path in given.paths:
        if not _probe(path, given):
            status = FAILURE
    return status


def _probe(path: str, given: argparse.Namespace) -> bool:
    """Print one file; whether it is good."""
    from calotype import api
    from calotype.cli.jobs import read_bytes
    from calotype.errors import CalotypeError, FormatError, describe

    json, title = given.json, len(given.paths) > 1
    try:
        data = read_bytes(path)
        fields = api.probe(data, max_pixels=given.max_pixels, max_metadata=given.max_metadata)
        if fields["lab"] and fields["error"] is not None:
            _cut(data, fields, given)
        if given.bits or given.map is not None:
            _count(data, fields, given)
    except (CalotypeError, OSError) as error:
        complain(path, error)
        if json:
            print_json({"input": path, "error": {"message": describe(error)}})
        return False
    if json:
        print_json({"input": path, **fields})
    else:
        if title:
            print(f"{path}:")
        print(_text(fields))
    if fields["error"] is not None:
        hint = "; if its model works in parts, calotype decode shows the whole ones" * ("cut" in fields)
        complain(path, FormatError(fields["error"]["message"] + hint))
        return False
    return True


def _cut(data: Buffer, fields: dict[str, Any], given: argparse.Namespace) -> None:
    """Add what there is of the latents that a laboratory file ends in, if it does: some models decode it."""
    from calotype import api, bitstream
    from calotype.errors import CalotypeError

    with contextlib.suppress(CalotypeError):  # what is wrong is told at the end
        limits = api.limits(given.max_pixels, given.max_metadata)
        file = bitstream.parse(data, limits=limits, damaged="prefix")
        if file.cut is not None and fields["error"]["field"] == "length":
            offset, there = fields["error"]["offset"] - 1, len(file.tiles[file.cut])
            fields["cut"] = {"name": "latents", "offset": offset, "length": there}


def _count(data: Buffer, fields: dict[str, Any], given: argparse.Namespace) -> None:
    """Add what the bits of the whole tiles went to, if there are any, and draw it."""
    from calotype import api
    from calotype.errors import FormatError, LimitError

    limits = api.limits(given.max_pixels, given.max_metadata)
    try:
        found = api.count_bits(data, limits, given.pack, keep_damaged=True)
    except (FormatError, LimitError):
        if fields["error"] is None:
            raise
        return  # what is wrong is told at the end
    fields["bits"] = found.to_dict()
    if given.map is not None:
        _draw(given.map, found.of(given.map_of or "all"))


def _draw(target: str, values: Any) -> None:
    """Write the map as a picture. Raises ImageError for a suffix that is none of a picture's, and OSError."""
    from calotype.cli.heat import draw
    from calotype.cli.writing import format_of, to_file
    from calotype.codec.files import write_file

    form = format_of(target)
    file, _ = to_file(draw(values, "bits"), form)
    write_file(target, file)


def _text(fields: dict[str, Any]) -> str:
    """The fields, one a line, and a table of the chunks."""
    lines = []
    if fields["lab"]:
        lines.append(f"written by laboratory model {fields['pack_id']}; calotype decode --models finds it")
    for name, value in fields.items():
        if name == "bits":
            lines += _bits(value)
        elif name == "chunks":
            lines += ["chunks        type  index    offset    length  crc", *map(_chunk, value)]
            if cut := fields.get("cut"):
                lines.append(f"  {cut['name']:23} {cut['offset']:9} {cut['length']:9}  cut off here")
        elif name not in ("cut", "error"):
            lines.append(f"{name:13} {_word(value)}")
    return "\n".join(lines)


_STAGES = {"z": "hyper-latents", "low": "low channels", "high": "high channels"}


def _bits(bits: dict[str, Any]) -> list[str]:
    """A table of the stages, tiles of pixels, and how much is skipped."""
    lines = ["bits          of                    stage      bits   share"]
    for part, what in _STAGES.items():
        for number, some in enumerate(bits[part]):
            phase = number if part == "high" else (number - 1) % 3 + 1
            octave = (len(bits[part]) - 1 - number) // 3
            stage = f"phase {phase}" if part == "high" else f"{octave}.{phase}" if number else "base"
            share = some / max(bits["payload"], 1)
            lines.append(f"  {part:11} {what:16} {stage:>10} {some:9.0f}  {share:6.1%}")
    for part, what in (("pixels", "tiles of pixels"), ("layer", "over latents")):
        if bits[part]:
            share = bits[part] / bits["payload"]
            lines.append(f"  {part:11} {what:16} {'':10} {bits[part]:9.0f}  {share:6.1%}")
    skipped = bits["skipped"] / max(bits["latents"], 1)
    lines.append(f"  skipped     {bits['skipped']} of {bits['latents']} latents ({skipped:.1%})")
    if lost := bits["damaged_tiles"]:
        few = ", ".join(map(str, lost[:8])) + (" ..." if len(lost) > 8 else "")
        lines.append(f"  note        {len(lost)} tiles are damaged or not there, and not counted: {few}")
    return lines


def _chunk(chunk: dict[str, Any]) -> str:
    verdict = "ok" if chunk["crc_ok"] else "WRONG"
    kind = f"{chunk['name']:11} 0x{chunk['type']:02x} {chunk['index']:6}"
    return f"  {kind} {chunk['offset']:9} {chunk['length']:9}  {chunk['crc']} {verdict}"


def _word(value: Any) -> str:
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)

"""``calotype probe``: every field of a .calo file by its name in docs/FORMAT.md."""

from __future__ import annotations

from typing import Any

from calotype.cli import FAILURE
from calotype.cli.options import add_max_metadata, parse, parser, size
from calotype.cli.report import complain, print_json


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status, 1 also when a file is damaged."""
    options = parser("probe", "Show every field of a .calo file by its name in docs/FORMAT.md.")
    options.add_argument("paths", nargs="+", metavar="FILE", help=".calo files; '-' is standard input")
    options.add_argument("--json", action="store_true", help="one JSON object per file")
    options.add_argument(
        "--max-pixels", type=size, metavar="N", help="describe larger pictures no further; default: 2^30"
    )
    add_max_metadata(options)
    given = parse(options, arguments)
    status = 0
    for path in given.paths:
        limits = {"max_pixels": given.max_pixels, "max_metadata": given.max_metadata}
        if not _probe(path, limits, json=given.json, title=len(given.paths) > 1):
            status = FAILURE
    return status


def _probe(path: str, limits: dict[str, int | None], *, json: bool, title: bool) -> bool:
    """Print one file; whether it is good."""
    from calotype import api
    from calotype.cli.pictures import read_bytes
    from calotype.errors import CalotypeError, FormatError, describe

    try:
        fields = api.probe(read_bytes(path), **limits)
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
        complain(path, FormatError(fields["error"]["message"]))
        return False
    return True


def _text(fields: dict[str, Any]) -> str:
    """The fields, one a line, and a table of the chunks."""
    lines = []
    if fields["lab"]:
        lines.append(f"written by laboratory model {fields['pack_id']}; calotype decode --models finds it")
    for name, value in fields.items():
        if name == "chunks":
            lines += ["chunks        type  index    offset    length  crc", *map(_chunk, value)]
        elif name != "error":
            lines.append(f"{name:13} {_word(value)}")
    return "\n".join(lines)


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

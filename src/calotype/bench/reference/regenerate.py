"""Write ``curves.json`` anew: ``python -m calotype.bench.reference.regenerate FOLDER [OUTPUT]``.

FOLDER holds two collections of rate-distortion data:

``published.json`` a list of curves read from the result files of public repositories: codec, name, dataset,
kind, source, and per point bpp, psnr_rgb, ms_ssim or ms_ssim_db, enc_s, dec_s. ``measured.json`` by codec,
what we measured on Kodak with classical codecs: meta (library, settings), points (means), per-picture
figures (dropped here; only the means ship).

``additions.json`` beside this script holds further published curves, already in the form of
``curves.json``.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

_HARNESS = (
    "its harness of June 2020 reads as comparing colour-converted original and decoded picture without "
    "rounding to 8-bit RGB; a codec measured on 8-bit RGB carries that rounding as a handicap"
)
_SUSPECT = "out of line with the other MS-SSIM-optimised models of its family; treat as suspect"
NOTES = {
    "vtm": f"QP 47 to 12 in steps of 5, 8-bit 4:4:4 BT.709, version not recorded. {_HARNESS}",
    "hm": f"8-bit 4:4:4. {_HARNESS}",
    "paper-cheng2020-parallel_ms-ssim": _SUSPECT,
    "paper-minnen2018-parallel_ms-ssim": _SUSPECT,
    "paper-elic2022_ms-ssim": _SUSPECT,
}


def main(folder: Path, output: Path = HERE / "curves.json") -> None:
    """Read the collections in `folder` and write `output`, one curve per line."""
    curves = [_published(c) for c in json.loads((folder / "published.json").read_text("utf-8"))]
    curves += [
        _measured(name, c) for name, c in json.loads((folder / "measured.json").read_text("utf-8")).items()
    ]
    curves += json.loads((HERE / "additions.json").read_text("utf-8"))
    curves.sort(key=lambda c: (c["dataset"], c["kind"], c["name"]))
    keys = {(c["dataset"], c["name"]) for c in curves}
    if len(keys) != len(curves):
        raise SystemExit("two curves of one data set share a name")
    about = "Mean rate-distortion curves, each with its source. Written by regenerate.py; do not edit."
    lines = ",\n".join(json.dumps(c, ensure_ascii=False) for c in curves)
    output.write_text(f'{{"format": 1, "about": "{about}", "curves": [\n{lines}\n]}}\n', "utf-8")
    print(f"{len(curves)} curves, {output.stat().st_size} bytes: {output}")


def _published(c: dict[str, Any]) -> dict[str, Any]:
    metrics = {"psnr_rgb": c["psnr_rgb"], "ms_ssim": c["ms_ssim"], "ms_ssim_db": c["ms_ssim_db"]}
    if c["ms_ssim"] and not c["ms_ssim_db"]:
        metrics["ms_ssim_db"] = [-10 * math.log10(1 - v) for v in c["ms_ssim"]]
    label = c["name"] + (" (MS-SSIM)" if "ms-ssim" in c["codec"] else "")
    extra = {"encode_s": c.get("enc_s"), "decode_s": c.get("dec_s"), "url": (c.get("meta") or {}).get("url")}
    return _curve(c["codec"], c["dataset"], label, c["kind"], c["source"], c["bpp"], metrics, extra)


def _measured(name: str, c: dict[str, Any]) -> dict[str, Any]:
    points, meta = c["points"], c["meta"]
    metrics: dict[str, list[float] | None]
    metrics = {m: [p[m] for p in points] for m in ("psnr_rgb", "psnr_y", "ms_ssim")}
    metrics["ms_ssim_db"] = [p["ms_ssim_db_of_mean"] for p in points]
    extra = {
        "quality": [str(p["q"]) for p in points],
        "encode_s": [p["enc_cpu_median"] for p in points],
        "decode_s": [p["dec_cpu_median"] for p in points],
        "note": f"{points[0]['n']} pictures; CPU seconds, median over pictures; bpp: {meta['bpp']}",
    }
    source = f"measured by the Calotype authors: {meta['lib']}; {meta['settings']}"
    return _curve(name, c["dataset"], name, "measured", source, [p["bpp"] for p in points], metrics, extra)


def _curve(
    name: str,
    dataset: str,
    label: str,
    kind: str,
    source: str,
    bpp: list[float],
    metrics: dict[str, list[float] | None],
    extra: dict[str, Any],
) -> dict[str, Any]:
    """One curve in the form of ``curves.json``, points by rising rate, empty fields left out."""
    order = sorted(range(len(bpp)), key=bpp.__getitem__)
    places = {"ms_ssim": 7, "encode_s": 5, "decode_s": 5}

    def column(field: str, values: list[Any]) -> list[Any]:
        values = [values[i] for i in order]
        if field == "quality":
            return values
        return [None if v is None or math.isnan(v) else round(v, places.get(field, 5)) for v in values]

    out: dict[str, Any] = {"name": name, "dataset": dataset, "label": label, "kind": kind, "source": source}
    out["bpp"] = [round(bpp[i], 6) for i in order]
    out["metrics"] = {m: column(m, v) for m, v in metrics.items() if v}
    for field in ("quality", "encode_s", "decode_s"):
        if extra.get(field):
            values = column(field, extra[field])
            if None not in values:
                out[field] = values
    note = extra.get("note") or NOTES.get(name, "")
    out |= {k: v for k, v in (("url", extra.get("url")), ("note", note)) if v}
    return out


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*map(Path, sys.argv[1:]))

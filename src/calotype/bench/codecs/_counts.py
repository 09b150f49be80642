"""Parameters and multiply-accumulates of a pack's networks, in the exact rule.

Exact: one multiply-accumulate for each product that a convolution needs for its output, biases and everything
pointwise not counted. Names of layers: docs/FORMAT.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RULE = "exact: products of convolutions and matrix products"


def of_pack(pack: Any) -> dict[str, Any]:
    """Parameters and kMAC per pixel of a pack, on a picture of 512 x 512; the keys of Codec.complexity.

    Parameters are all weights that it codes with, each once; encoders compute the means, too.
    """
    from calotype.codec import manifest, tensors

    latents = 32 * 32
    encoder = tensors.load(pack.file(manifest.ENCODER))
    counts = {
        "analysis": of_encoder(encoder, "analysis", latents),
        "hyper_encoder": of_encoder(encoder, "hyper_analysis", latents),
    }
    counts["coder"] = of_coder(tensors.load(pack.file(manifest.TABLES)), latents)
    networks = tensors.load(pack.file(manifest.NETWORKS))
    for part in ("mean", "synthesis"):
        counts[part] = of_decoder(networks, part, latents)
    kmac = {name: macs / (512 * 512 * 1000) for name, (_, macs) in counts.items()}
    return {
        "parameters": sum(parameters for parameters, _ in counts.values()),
        "kmac_per_pixel": {
            "encode": sum(kmac[name] for name in ("analysis", "hyper_encoder", "coder", "mean")),
            "decode": sum(kmac[name] for name in ("coder", "mean", "synthesis")),
            **kmac,
        },
        "rule": RULE,
    }


def of_encoder(arrays: Mapping[str, Any], part: str, latents: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of the layers "analysis." or "hyper_analysis." of an encoder."""
    parameters = macs = 0
    for name, array in arrays.items():
        owner, layer, *rest = (*name.split("."), "")
        if owner != part or "mul" in rest:
            continue
        parameters += array.size
        if "weight" in rest:
            macs += array.size * int(latents * {"patch": 4, "blocks8": 4, "out": 0.25}.get(layer, 1))
    return parameters, macs


def of_decoder(arrays: Mapping[str, Any], part: str, latents: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of the layers "mean." or "synthesis." of a pack's decoder."""
    parameters = macs = 0
    for name, array in arrays.items():
        owner, layer, *rest = name.split(".")
        if owner != part or rest[-1:] == ["mul"]:
            continue
        parameters += array.size
        if rest[-1:] != ["weight"]:
            continue
        if owner == "mean" and layer.startswith("low"):
            sites = latents // 4 ** (3 - int(rest[0]) // 3)  # a phase of octave 2, 1 or 0
        elif owner == "mean":
            sites = latents // 4
        else:
            sites = latents * {"blocks16": 1, "split": 1, "convs": 16, "out": 16}.get(layer, 4)
        macs += array.size * sites
    return parameters, macs


def of_coder(arrays: Mapping[str, Any], latents: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of the integer layers of a pack (names: docs/FORMAT.md), for a tile
    of ``latents`` positions, a multiple of 64.
    """
    parameters = macs = 0
    for name, array in arrays.items():
        part, *rest = name.split(".")
        if part not in ("hyper", "scales"):
            continue
        parameters += array.size
        if rest[-1] == "weight":
            macs += array.size * _sites(part, rest[0], int(rest[1]) if rest[1].isdigit() else 0, latents)
    return parameters, macs


def _sites(part: str, layer: str, number: int, latents: int) -> int:
    """How many positions a layer of the coder is computed at."""
    cells = latents // 4  # of z, and of each phase of the high channels
    staged = {"hyper": (2, cells), "scales": (3, latents)}
    if part == "scales" and not layer.startswith("low"):
        return cells
    octaves, sites = staged[part]
    stage = number if layer in ("own", "low_out") else number + 1
    octave = octaves - 1 - max(stage - 1, 0) // 3
    return int(sites // 4 ** (octave + 1))

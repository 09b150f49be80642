"""CompressAI's weights to ours and back, name by name.

    from_compressai("minnen2018-mean-scale", state_dict) -> (config, weights)     weights: ours
    to_compressai("minnen2018-mean-scale", weights) -> weights                    theirs

A network of CompressAI takes them by ``net.load_state_dict({**net.state_dict(), **weights});
net.update(force=True)``. Their tables are derived from the weights and are left out both ways.  The only
change of layout is the order of the checkerboard's inputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from calotype.lab import registry
from calotype.lab.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from calotype.lab.convert_tcm import from_official
from calotype.lab.models.base import LabModel

NAMES = {
    "bmshj2018-factorized": "balle2018-factorized",
    "bmshj2018-hyperprior": "balle2018-hyperprior",
    "mbt2018-mean": "minnen2018-mean-scale",
    "mbt2018": "minnen2018-autoregressive",
    "cheng2020-anchor": "cheng2020-anchor",
    "cheng2020-attn": "cheng2020-attention",
    "cheng2020-anchor-checkerboard": "he2021-cheng",
    "elic2022-official": "he2022-elic",
    "elic2022-chandelier": "he2022-elic-chandelier",
}
"""Their registry names and ours."""

_DERIVED = re.compile(
    r"(_quantized_cdf|_offset|_cdf_length|scale_table|scale_bound|\.target|\.mask|pedestal|\.bound)$"
)

# (theirs, ours), tried in order; \1 and \2 stand for the same parts on both sides
_RENAMES = [
    (r"^latent_codec\.y\.channel_context\.y(\d+)\.(.*)", r"channel.\1.\2"),
    (r"^latent_codec\.y\.latent_codec\.y(\d+)\.context_prediction\.(.*)", r"spatial.\1.\2"),
    (r"^latent_codec\.y\.latent_codec\.y(\d+)\.entropy_parameters\.(.*)", r"joint.\1.\2"),
    (r"^latent_codec\.y\.context_prediction\.(.*)", r"context.\1"),
    (r"^latent_codec\.y\.entropy_parameters\.(.*)", r"joint.\1"),
    (r"^latent_codec\.hyper\.entropy_bottleneck\.(.*)", r"prior.\1"),
    (r"^latent_codec\.hyper\.(h_[as]\..*)", r"\1"),
    (r"^entropy_bottleneck\.(.*)", r"prior.\1"),
    (r"^context_prediction\.(.*)", r"context.\1"),
    (r"^entropy_parameters\.(.*)", r"joint.\1"),
]
_LAYERS = [(".subpel_conv.", ".subpixel."), (".conv_a.", ".trunk."), (".conv_b.", ".mask.")]
_UP = re.compile(r"^(g_s\.\d+)\.upsample\.")
_UP_BACK = re.compile(r"^(g_s\.\d+)\.skip\.")
_UNIT = re.compile(r"\.(trunk|mask)\.(\d)\.conv\.(\d)\.")
_UNIT_BACK = re.compile(r"\.(trunk|mask)\.(\d)\.conv(\d)\.")
_OLD_PRIOR = re.compile(r"\._(matrix|bias|factor)(\d)$")
_PLURAL = {"matrix": "matrices", "bias": "biases", "factor": "factors"}


def _ours(key: str) -> str:
    key = _OLD_PRIOR.sub(lambda m: f".{_PLURAL[m[1]]}.{m[2]}", key)  # checkpoints before version 1.2.5
    for theirs, ours in _RENAMES:
        if re.match(theirs, key):
            key = re.sub(theirs, ours, key)
            break
    for theirs, ours in _LAYERS:
        key = key.replace(theirs, ours)
    key = _UP.sub(r"\1.skip.", key)
    return _UNIT.sub(lambda m: f".{m[1]}.{m[2]}.conv{int(m[3]) // 2 + 1}.", key)


def _theirs(name: str, key: str) -> str:
    key = _UNIT_BACK.sub(lambda m: f".{m[1]}.{m[2]}.conv.{2 * int(m[3]) - 2}.", key)
    if key.startswith(("g_a.", "g_s.")):
        key = _UP_BACK.sub(r"\1.upsample.", key)
        for theirs, ours in _LAYERS:
            key = key.replace(ours, theirs)
        return key
    if name == "he2021-cheng":
        pairs = [("prior.", "latent_codec.hyper.entropy_bottleneck."), ("h_", "latent_codec.hyper.h_"),
                 ("context.", "latent_codec.y.context_prediction."), ("joint.",
                 "latent_codec.y.entropy_parameters.")]  # fmt: skip
    elif name.startswith("he2022"):
        key = re.sub(r"^channel\.(\d+)\.", r"latent_codec.y.channel_context.y\1.", key)
        key = re.sub(r"^spatial\.(\d+)\.", r"latent_codec.y.latent_codec.y\1.context_prediction.", key)
        key = re.sub(r"^joint\.(\d+)\.", r"latent_codec.y.latent_codec.y\1.entropy_parameters.", key)
        pairs = [("prior.", "latent_codec.hyper.entropy_bottleneck."), ("h_", "latent_codec.hyper.h_")]
    else:
        pairs = [("prior.", "entropy_bottleneck."), ("context.", "context_prediction."),
                 ("joint.", "entropy_parameters.")]  # fmt: skip
    for ours, theirs in pairs:
        if key.startswith(ours):
            return theirs + key[len(ours) :]
    return key


def _swap(name: str, key: str, value: Tensor) -> Tensor:
    """Their checkerboard feeds (context, side) to the first 1x1 convolution, ours (side, context)."""
    return (
        torch.cat(value.chunk(2, 1)[::-1], 1) if name == "he2021-cheng" and key == "joint.0.weight" else value
    )


def from_compressai(name: str, state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Our configuration and weights from their ``state_dict`` (or a checkpoint of their trainer that holds
    one).

    ``name``: ours or theirs.

    Raises:
        CheckpointError: for a system that both do not have, or weights that are not of that system.
    """
    name = our_name(name)
    state = state.get("state_dict", state)
    weights = {}
    for key, value in state.items():
        key = key.removeprefix("module.")
        if _DERIVED.search(key) or not isinstance(value, Tensor):
            continue
        ours = _ours(key)
        weights[ours] = _swap(name, ours, value.detach().float())
    try:
        first = weights["g_a.0.weight"] if "g_a.0.weight" in weights else weights["g_a.0.conv1.weight"]
        config: dict[str, Any] = {"n": first.shape[0]}
        if "m" in registry.entry(name).config:
            config["m"] = weights["g_s.0.weight" if "g_s.0.weight" in weights else "g_s.1.weight"].shape[0]
        if name.startswith("he2022"):
            counts = [k for k in weights if re.fullmatch(r"spatial\.\d+\.weight", k)]
            config["groups"] = [weights[f"spatial.{i}.weight"].shape[1] for i in range(len(counts))]
        if "attention" in registry.entry(name).config:
            config["attention"] = True
    except KeyError as error:
        raise CheckpointError(f"no weights of {name!r} in there: {error} is missing") from None
    return config, weights


def to_compressai(name: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our ``state_dict`` under their names."""
    name = our_name(name)
    return {_theirs(name, key): _swap(name, key, value) for key, value in weights.items()}


def our_name(name: str) -> str:
    """Our registry name of a system that CompressAI has too, given either name.

    Raises:
        CheckpointError: if CompressAI does not have it.
    """
    ours = NAMES.get(name, name)
    if ours not in NAMES.values():
        raise CheckpointError(f"CompressAI has no {name!r}; both have {', '.join(sorted(NAMES.values()))}")
    return ours


TCM = "liu2023-tcm"
"""Prefix of the names whose weights come from the authors' own code, not from CompressAI."""


def convert(
    name: str, source: Path | str, target: Path | str, training: dict[str, Any] | None = None
) -> LabModel:
    """Read their ``.pth``, ``.pth.tar`` or ``.safetensors`` file, write our checkpoint, and return the model.

    ``name``: ours or theirs; ``liu2023-tcm-...`` for a checkpoint of the TCM authors.  Pickles are opened
    with torch's ``weights_only`` reader, which runs no code.

    Raises:
        CheckpointError: if the file cannot be read or does not fit.
    """
    source = Path(source)
    ours = name if name.startswith(TCM) else our_name(name)
    registry.entry(ours)
    try:
        if source.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Mapping[str, Any] = load_file(source)
        else:
            state = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{source}: cannot be read as weights ({str(error).splitlines()[0]})") from None
    config, weights = from_official(state) if ours.startswith(TCM) else from_compressai(name, state)
    model = registry.build(ours, **config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{source}: not weights of {name!r} ({str(error).splitlines()[1].strip()})"
        ) from None
    save_checkpoint(target, model, {"converted_from": source.name, **(training or {})})
    return model.eval()


def convert_back(source: Path | str, target: Path | str) -> str:
    """Write our checkpoint under CompressAI's names, ``.safetensors`` or ``.pth``; returns its name there.

    The file holds the parameters: in CompressAI, ``net.load_state_dict({**net.state_dict(), **weights})`` and
    then ``net.update(force=True)``, which makes its tables anew.

    Raises:
        CheckpointError: if the checkpoint cannot be used, or CompressAI does not have the system.
    """
    model, target = load_checkpoint(source), Path(target)
    weights = {k: v.contiguous() for k, v in to_compressai(model.name, model.state_dict()).items()}
    if target.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(weights, target)
    else:
        torch.save(weights, target)
    return next(theirs for theirs, ours in NAMES.items() if ours == model.name)

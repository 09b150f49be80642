"""Every system of the laboratory by name: ``names()``, ``build(name, **config)``, ``describe(name)``.

To add a system, write its file in `calotype.lab.models` and one `Entry` here.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from dataclasses import dataclass, field
from typing import Any

import torch

from calotype.errors import CalotypeError
from calotype.lab.models.base import LabModel
from calotype.lab.sizes import checked_arguments, out_of_memory


class UnknownModel(CalotypeError):
    """No system of that name, or no such option."""


@dataclass(frozen=True)
class Entry:
    """One system."""

    target: str
    """``module:Class`` under `calotype.lab.models`."""
    summary: str
    """One line for lists."""
    citation: str
    """Authors, venue, year, arXiv number."""
    config: dict[str, Any] = field(default_factory=dict)
    """Arguments of the class, at the sizes published for low rates."""
    high: dict[str, Any] = field(default_factory=dict)
    """What the paper changes for high rates."""
    thin: dict[str, Any] = field(default_factory=dict)
    """Few channels, the same structure: for tests and receptive fields."""


_BALLE17 = "Balle, Laparra, Simoncelli, ICLR 2017, arXiv 1611.01704"
_AGUSTSSON17 = "Agustsson et al., NeurIPS 2017, arXiv 1704.00648; Mentzer et al., CVPR 2018, arXiv 1801.04260"
_BALLE18 = "Balle, Minnen, Singh, Hwang, Johnston, ICLR 2018, arXiv 1802.01436"
_MINNEN18 = "Minnen, Balle, Toderici, NeurIPS 2018, arXiv 1809.02736"
_MINNEN20 = "Minnen, Singh, ICIP 2020, arXiv 2007.08739"
_CHENG20 = "Cheng, Sun, Takeuchi, Katto, CVPR 2020, arXiv 2001.01568"
_HE21 = "He, Zheng, Sun, Wang, Qin, CVPR 2021, arXiv 2103.15306"
_HE22 = "He, Yang, Peng, Ma, Qin, Wang, CVPR 2022, arXiv 2203.10886"
_HU20 = "Hu, Yang, Liu, AAAI 2020; Hu, Yang, Ma, Liu, TPAMI 2021, arXiv 2002.03711"
_ZHU22 = "Zhu, Yang, Cohen, ICLR 2022, openreview IDwN6xjHnK8"
_LIU23 = "Liu, Sun, Katto, CVPR 2023, arXiv 2303.14978"
_VCIP23 = "Low-complexity transform network architecture for JPEG AI image codec, VCIP 2023 (reconstruction)"
_JPEGAI = "ISO/IEC 6048, JPEG AI; Esenlik et al., IEEE TCSVT 36(2), 2026, arXiv 2510.13867"
_THIN_VCIP = {"luma": 16, "chroma": 8, "hidden": [16, 16]}
_ALI23 = "Ali et al., NeurIPS 2023, openreview 1ihGy9vAIg"
_THIN_SWIN = {"widths": [16, 16, 32, 32], "hyper": 16}
_THIN_TCM = {"n": 8, "m": 20, "z": 8, "inner": 16, "widths": [8, 8]}
_LOW, _HIGH, _THIN = {"n": 128, "m": 192}, {"n": 192, "m": 320}, {"n": 8, "m": 12}

ENTRIES: dict[str, Entry] = {
    "balle2017": Entry(
        "balle2017:Balle2017",
        "factorized prior, GDN, three strided layers",
        _BALLE17,
        {"n": 128},
        {"n": 192},
        {"n": 8},
    ),
    "agustsson2017": Entry(
        "agustsson2017:SoftToHard",
        "soft-to-hard vector quantisation to learned centres, GDN transforms",
        _AGUSTSSON17,
        {"n": 128, "m": 32},
        {"n": 192, "m": 64},
        _THIN,
    ),
    "balle2018-factorized": Entry(
        "balle2018:Factorized", "factorized prior, GDN, four strided layers", _BALLE18, _LOW, _HIGH, _THIN
    ),
    "balle2018-hyperprior": Entry(
        "balle2018:ScaleHyperprior", "scale hyperprior", _BALLE18, _LOW, _HIGH, _THIN
    ),
    "minnen2018-mean-scale": Entry(
        "minnen2018:MeanScale", "mean-scale hyperprior", _MINNEN18, _LOW, _HIGH, _THIN
    ),
    "minnen2018-autoregressive": Entry(
        "minnen2018:Autoregressive",
        "hyperprior and raster autoregression",
        _MINNEN18,
        {"n": 192, "m": 192},
        _HIGH,
        _THIN,
    ),
    "minnen2020-charm": Entry(
        "minnen2020:ChARM",
        "channel-wise autoregression, latent residual prediction",
        _MINNEN20,
        {"n": 192, "m": 320},
        {},
        {"n": 8, "m": 12, "slices": 3, "support": 2, "widths": [8, 8]},
    ),
    "cheng2020-hyperprior": Entry(
        "cheng2020:ChengHyperprior",
        "Cheng's transforms, mean-scale hyperprior, no context",
        _CHENG20,
        {"n": 128},
        {"n": 192},
        {"n": 8},
    ),
    "cheng2020-anchor": Entry(
        "cheng2020:Cheng2020",
        "residual transforms, raster autoregression, one Gaussian",
        _CHENG20,
        {"n": 128},
        {"n": 192},
        {"n": 8},
    ),
    "cheng2020-attention": Entry(
        "cheng2020:Cheng2020",
        "the same with simplified attention",
        _CHENG20,
        {"n": 128, "attention": True},
        {"n": 192},
        {"n": 8, "attention": True},
    ),
    "cheng2020-mixture": Entry(
        "cheng2020:Cheng2020",
        "the same with the paper's mixture of three Gaussians",
        _CHENG20,
        {"n": 128, "attention": True, "mixture": 3},
        {"n": 192},
        {"n": 8, "attention": True, "mixture": 3},
    ),
    "he2021-minnen": Entry(
        "he2021:CheckerboardMinnen",
        "checkerboard context on Minnen's transforms",
        _HE21,
        {"n": 192, "m": 192},
        _HIGH,
        _THIN,
    ),
    "he2021-cheng": Entry(
        "he2021:CheckerboardCheng",
        "checkerboard context on Cheng's transforms",
        _HE21,
        {"n": 128},
        {"n": 192},
        {"n": 8},
    ),
    "he2022-elic": Entry(
        "he2022:Elic",
        "uneven channel groups x checkerboard",
        _HE22,
        {"n": 192, "m": 320},
        {},
        {"n": 8, "m": 12, "groups": [2, 2, 3, 5]},
    ),
    "he2022-elic-chandelier": Entry(
        "he2022:Elic",
        "the same, groups see the first and the latest only",
        _HE22,
        {"n": 192, "m": 320, "variant": "chandelier"},
        {},
        {"n": 8, "m": 12, "groups": [2, 2, 3, 5], "variant": "chandelier"},
    ),
    "hu2020-low": Entry(
        "hu2020:CoarseToFine",
        "three levels of latents, side-information aggregation",
        _HU20,
        {"n": 192},
        {},
        {"n": 12, "z2": 16},
    ),
    "hu2020-high": Entry(
        "hu2020:CoarseToFine",
        "the same at the sizes for high rates",
        _HU20,
        {"n": 384, "wide": 2},
        {},
        {"n": 12, "z2": 16, "wide": 2},
    ),
    "zhu2022-hyperprior": Entry(
        "zhu2022:SwinHyperprior", "Swin transforms, mean-scale hyperprior", _ZHU22, {}, {}, _THIN_SWIN
    ),
    "zhu2022-charm": Entry(
        "zhu2022:SwinChARM",
        "Swin transforms, channel-wise autoregression",
        _ZHU22,
        {},
        {},
        {**_THIN_SWIN, "slices": 4},
    ),
    "liu2023-tcm-small": Entry(
        "liu2023:TCM", "mixed Transformer-CNN blocks, SWAtten slices", _LIU23, {"n": 64}, {}, _THIN_TCM
    ),
    "liu2023-tcm-medium": Entry("liu2023:TCM", "the same, wider", _LIU23, {"n": 96}, {}, _THIN_TCM),
    "liu2023-tcm-large": Entry("liu2023:TCM", "the same, widest", _LIU23, {"n": 128}, {}, _THIN_TCM),
    **{
        f"jpegai2023-{variant}": Entry(
            "jpegai2023:JpegAI2023",
            f"JPEG AI's transform in 2023, {what}",
            _VCIP23,
            {"variant": variant},
            {},
            {"variant": variant, **_THIN_VCIP},
        )
        for variant, what in (
            ("baseline", "two mask attentions per branch"),
            ("attention-cs", "attention over half of the channels"),
            ("attention-ds", "attention at half the resolution"),
            ("shuffle", "1x1 convolution and pixel shuffle for upsampling"),
            ("activation", "activation without tanh and product"),
            ("combination", "all three simplifications"),
        )
    },
    "jpegai-hop": Entry(
        "jpegai:JpegAI",
        "JPEG AI, high operating point",
        _JPEGAI,
        {"point": "hop"},
        {},
        {"point": "hop", "divide": 8},
    ),
    "jpegai-bop": Entry(
        "jpegai:JpegAI",
        "JPEG AI, base operating point",
        _JPEGAI,
        {"point": "bop"},
        {},
        {"point": "bop", "divide": 8},
    ),
    "jpegai-sop": Entry(
        "jpegai:JpegAI",
        "JPEG AI, simple operating point",
        _JPEGAI,
        {"point": "sop"},
        {},
        {"point": "sop", "divide": 8},
    ),
    "ali2023-cheng-charm": Entry(
        "ali2023:ChengChARM",
        "Cheng's transforms, channel-wise autoregression",
        _ALI23,
        {"n": 128},
        {"n": 192},
        {"n": 12, "slices": 3, "widths": [8, 8]},
    ),
}


def names() -> list[str]:
    """All systems, in order of publication."""
    return list(ENTRIES)


def entry(name: str) -> Entry:
    """The entry of a system.

    Raises:
        UnknownModel: with the nearest name.
    """
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else "; see calotype lab list"
        raise UnknownModel(f"no model is called {name!r}{hint}")
    return ENTRIES[name]


def model_class(name: str) -> type[LabModel]:
    """The class of a system; imports its file."""
    module, cls = entry(name).target.split(":")
    found: type[LabModel] = getattr(importlib.import_module(f"calotype.lab.models.{module}"), cls)
    return found


def build(name: str, **config: Any) -> LabModel:
    """A model with fresh weights; ``config`` overrides the published sizes.

    Raises:
        UnknownModel: for a name that is not listed, an option that the system does not have, a value of
            the wrong kind, or sizes that need more memory than there is.
    """
    cls = model_class(name)
    known = inspect.signature(cls).parameters
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    if not anything and (unknown := [option for option in config if option not in known]):
        raise UnknownModel(f"model {name!r} has no size {unknown[0]!r}; it has {', '.join(known)}")
    try:
        model = cls(**checked_arguments(cls, {**entry(name).config, **config}))
    except ValueError as error:
        raise UnknownModel(f"model {name!r}: {error}") from None
    except (RuntimeError, TypeError, ArithmeticError, LookupError, MemoryError) as error:  # deep inside torch
        if out_of_memory(error):
            raise UnknownModel(f"model {name!r}: not enough memory to build it with these sizes") from error
        reason = str(error).partition("\n")[0]
        raise UnknownModel(f"model {name!r}: cannot be built with these sizes ({reason})") from error
    if empty := [key for key, p in model.named_parameters() if not p.numel()]:  # half of 1 channel is none
        raise UnknownModel(f"model {name!r}: too small; there is nothing left of {empty[0]!r}")
    model.name = name
    return model


def describe(name: str, size: tuple[int, int] = (256, 256), **config: Any) -> dict[str, Any]:
    """Everything that can be said of a system without training it, as plain values for printing or JSON.

    kMACs are per pixel of a picture of ``size`` (rows, columns), by part, in three counting rules
    (`calotype.lab.analysis.complexity`); the receptive field is that of one latent, in pixels.
    """
    from calotype.lab.analysis import complexity

    e = entry(name)
    with torch.device("meta"):
        model = build(name, **config)
    try:
        thin = build(name, **{**config, **e.thin})
    except UnknownModel:  # sizes that fit, but not to the thin ones
        thin = build(name, **config)
    module = importlib.import_module(type(model).__module__)
    return {
        "name": name,
        "summary": e.summary,
        "citation": e.citation,
        "config": model.config,
        "document": (module.__doc__ or "").strip(),
        "file": f"calotype/lab/models/{e.target.split(':')[0]}.py",
        "multiple": model.multiple,
        "quantisation": model.quantisation,
        "parameters": complexity.parameters(model),
        "parameters_by_part": complexity.part_parameters(model),
        "kmacs_per_pixel": {rule: complexity.kmacs_per_pixel(model, rule, size) for rule in complexity.RULES},
        "latents": complexity.latent_shapes(model, size),
        "receptive_field": complexity.receptive_field(thin.analyse_part(), 3, 512),
    }

"""The TCM authors' checkpoints to ours (github.com/jmliu206/LIC_TCM), name by name.

config, weights = from_official(torch.load(path, weights_only=True))
model = registry.build("liu2023-tcm", **config)
model.load_state_dict(weights)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from calotype.lab.checkpoint import CheckpointError

# (theirs, ours), all applied in order
_RENAMES: list[tuple[str, Any]] = [
    (r"^module\.", ""),
    (r"\._(matrix)(\d)$", r".matrices.\2"),
    (r"\._(bias|factor)(\d)$", lambda m: f".{ {'bias': 'biases', 'factor': 'factors'}[m[1]] }.{m[2]}"),
    (r"^entropy_bottleneck\.", "prior."),
    (r"^h_(mean|scale)_s\.", r"h_\1."),
    (r"^cc_(mean|scale)_transforms\.", r"\1."),
    (r"^lrp_transforms\.", "lrp."),
    (r"^atten_(mean|scale)\.(\d+)\.0\.", r"\1_attention.\2."),
    (r"\.in_conv\.", ".squeeze."),
    (r"\.out_conv\.", ".expand."),
    (r"\.non_local_block\.block_(\d)\.", lambda m: f".swin.{int(m[1]) - 1}."),
    (r"\.conv_a\.", ".gate.trunk."),
    (r"\.conv_b\.", ".gate.mask."),
    (r"\.(trunk|mask)\.(\d)\.conv\.(\d)\.", lambda m: f".{m[1]}.{m[2]}.conv{int(m[3]) // 2 + 1}."),
    (r"\.conv1_1\.", ".first."),
    (r"\.conv1_2\.", ".last."),
    (r"\.conv_block\.", ".convolution."),
    (r"\.trans_block\.", ".swin."),
    (r"\.ln([12])\.", r".norm\1."),
    (r"\.msa\.embedding_layer\.", ".attention.qkv."),
    (r"\.msa\.linear\.", ".attention.out."),
    (r"\.msa\.relative_position_params$", ".attention.relative"),
    (r"\.subpel_conv\.", ".subpixel."),
    (r"\.upsample\.", ".skip."),
]
_DERIVED = re.compile(
    r"(_quantized_cdf|_offset|_cdf_length|scale_table|scale_bound|\.target|pedestal|\.bound)$"
)


def from_official(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Our configuration and weights from their ``state_dict``, or from a checkpoint that holds one.

    Raises:
        CheckpointError: if the weights are not those of a TCM.
    """
    state = state.get("state_dict", state)
    weights = {}
    for key, value in state.items():
        if _DERIVED.search(key) or not isinstance(value, Tensor):
            continue
        for theirs, ours in _RENAMES:
            key = re.sub(theirs, ours, key)
        weights[key] = value.detach().float()
    try:
        m, width = weights["g_a.9.weight"].shape[:2]
    except (KeyError, ValueError):
        raise CheckpointError("these are not the weights of a TCM: 'g_a.9.weight' is missing") from None
    return {
        "n": width // 2,
        "m": m,
        "slices": len({k.split(".")[1] for k in weights if k[:4] == "lrp."}),
    }, weights

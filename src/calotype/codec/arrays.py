"""Arrays that many modules of the codec speak of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
"""Pixels, or a plane of them."""

"""``python -m calotype`` is the same as ``calotype``."""

from __future__ import annotations

import sys

from calotype.cli import main

sys.exit(main())

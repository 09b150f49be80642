"""What a pack must be, in code: once, for the laboratory that makes packs and the codec that reads them.

The words for it are in docs/FORMAT.md, *Packs*; native/pack.hpp has it for C and browsers.

files    their names, how they are stored, the id that follows from them
levels   what tables say at a level between two trained ones
tables   types and shapes of ``tables.safetensors``
"""

FORMAT = 1
"""Of the manifest."""
CODER = 1
"""The version of the entropy coder's stream that this release reads and writes."""
STRIDE = 16
"""Pixels on a side of what one latent stands for."""
HYPER_STRIDE = 32
"""The same of a hyper-latent."""
Z_LIMIT = 1023
"""Largest magnitude of a hyper-latent."""
STEPS = 256
"""Levels from one trained level to the next."""

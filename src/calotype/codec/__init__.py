"""Pixels to bytes and back. Start with ``encoder.py`` and ``decoder.py``; they use, from the outside in:

image, convert, metadata, files   pictures as people have them, and safe writing
analysis, choice                  the encoder's latents, and the integers that they are coded as
rate, proof, quality              the search for a target, what it looks at, and the likeness that it measures
tiles, synthesis                  windows, and the way from latents back to pixels in bounded memory
latents                           one tile's integers to bytes and back
library, pack, manifest, levels   finding and opening packs; what a pack must hold is in ``pack.py``
runtime, tensors                  ONNX Runtime, and arrays in files
"""

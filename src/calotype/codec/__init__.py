"""Pixels to bytes and back. Start with ``encoder.py`` and ``decoder.py``; they use, from the outside in:

arguments, files                  what callers may give, and safe writing
image, convert, source, depth     pictures as people have them
colour, icc, cicp, hdr            what their colours mean
metadata, exif, xmp, boxes, mend  what goes along with them
analysis, choice                  the encoder's latents, and the integers that they are coded as
masking, focus, lettering         where errors count less, and where more
effort                            better integers, by search
mixed, traits, pixels, hidden     what is stored as pixels: drawings, no loss, alpha
aim, visual, glance, approach     from a quality to a level, for the picture at hand
rate, proof                       the search for a target, and what it looks at
metrics, ssimulacra2              the likeness that it measures
tiles, mosaic                     windows, and arrays in pieces, in bounded memory
latents, networks                 one tile's integers to bytes and back
bits                              where the bits of a file went
library, opening, pack, manifest  finding and opening packs; what a pack must be is in calotype.pack
levels, tensors                   what is in them, at a level
threads                           how many there are
"""

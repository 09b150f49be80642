"""Encoder effort: refining the integers of a file for the picture at hand. Decoders know nothing of it.

``graphs`` reads ONNX files, ``gradients`` runs them forwards and backwards in NumPy, ``rates`` says what
integers cost, ``refine`` searches. Nothing here is loaded at effort 0.
"""

"""Encoder effort: refining the integers of a file for the picture at hand. Decoders know nothing of it.

``slopes`` makes an ONNX file that runs the synthesis forwards and backwards, and behind it ``look``,
which is SSIMULACRA2 (with ``tape``, which knows how slopes go back, and ``onnx_writer``). ``session`` runs
it, ``rates`` says what integers cost, ``worth`` what errors are worth in bits, ``refine`` searches. ONNX
Runtime is not loaded at effort 0.
"""

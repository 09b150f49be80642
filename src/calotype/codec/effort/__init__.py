"""Encoder effort: refining the integers of a file for the picture at hand. Decoders know nothing of it.

``slopes`` makes ONNX files that run the synthesis forwards and backwards, and in between sends its pixels
through the filter behind it and compares them, for eyes also by ``look``, which is SSIMULACRA2 (with
``tape``, which knows how slopes go back, and ``onnx_writer``). ``session`` runs them, ``rates`` says what
integers cost, ``worth`` what errors are worth in bits, ``refine`` searches. ONNX Runtime is not loaded at
effort 0.
"""

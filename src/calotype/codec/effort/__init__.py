"""Encoder effort: refining the integers of a file for the picture at hand. Decoders know nothing of it.

``slopes`` makes an ONNX file that runs the synthesis forwards and backwards (with ``onnx_writer``),
``session`` runs it, ``rates`` says what integers cost, ``worth`` what an error is worth in bits, ``refine``
searches. ONNX Runtime is not loaded at effort 0.
"""

"""Encoder effort: refining the integers of a file for the picture at hand. Decoders know nothing of it.

``graphs`` reads ONNX files, ``slopes`` makes one that runs the synthesis backwards (with ``gradients``, its
small operations, and ``onnx_writer``), ``rates`` says what integers cost, ``worth`` what an error is worth in
bits, ``refine`` searches. Nothing here is loaded at effort 0.
"""

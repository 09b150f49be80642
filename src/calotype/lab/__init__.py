"""The laboratory: published learned image codecs as one readable file each, with training and real files.

A model is an ``nn.Module`` built from `calotype.lab.models.base.LabModel`:

    model = registry.build("minnen2018-mean-scale", n=128, m=192)
    out = model(x)                       # x float [B, 3, H, W] in 0..1, any size
    out.x_hat, out.bpp, out.bits["y"]    # bits per picture, an estimate
    codec = ModelCodec(model)            # a snapshot for files (needs the native coder)
    data = codec.compress(x[:1])         # a real file
    x_hat = codec.decompress(data)       # the same pixels in any process

**One walk.**  The coding order of a model is its method ``walk(coder, y)``.  It calls ``coder.code(name,
values, distribution)`` for one group of latents after the other.  In training the coder estimates bits
(`entropy.coders.Estimate`); for a file it writes, or it reads (then all values are None, and ``given(f, y)``
passes the None on). There is no ``update()``: integer tables come from fixed lists of scales, or are
evaluated when a file is coded.

**Training.**  ``out = model(x, coder=Estimate("noise", generator=g))``; the loss is ``out.bpp.mean() + lam *
255**2 * mse + out.aux``.  Without a coder, a model in ``train()`` uses the quantisation of its paper
(``model.quantisation``) and one in ``eval()`` what a file would hold ("round").  ``out.y``, ``out.mu``,
``out.sigma`` are the maps for the correlation loss (None where the entropy model is not Gaussian).
`objective.RateDistortion` wraps model, lambda and distortion.

**One `System`** (`models.base`) is what the laboratory asks of every model, of those that walk (`LabModel`)
and of the product's own, ``calotype``: its sizes, its objective, where it begins, how it is looked at.

**A new system** is one file in `models`: parts, `walk`, a docstring with diagram, citation and coding order,
and ``SYSTEMS``, its names.  Parts that no probability depends on are named in ``encoder_only``:
they stay float32 when a file is coded, all others run in float64.  A walk may return more than ``y_hat``;
`synthesise` then takes it all.  A model with ``progressive = True`` calls ``coder.next_part()`` in its walk:
its files may be cut off after any part.  One that trains for something else than rate and distortion has a
``loss`` of its own, and ``finished()`` is what training leaves, without what only training needs.

Torch is needed; the native coder only for files.
"""

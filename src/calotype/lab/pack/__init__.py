"""The parts of a pack, made from the product's model: graphs, proofs of exactness, tables, the folder
itself.
"""

"""Past experiments: each folder is one, with its code, its stored results and its pages."""

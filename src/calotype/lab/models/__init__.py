"""One file per published system, named by first author and year; `calotype.lab.registry` lists them."""

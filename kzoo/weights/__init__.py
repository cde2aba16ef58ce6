"""Other people's numbers as our variables: Keras's files, Darknet's, and what was published."""

from kzoo.system.lazy import submodules

__getattr__ = submodules(__name__, __path__)

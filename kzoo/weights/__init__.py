"""Other people's numbers as our variables: Keras's files, Darknet's, what was published; and trained models opened."""

from kzoo.system.lazy import submodules

__getattr__ = submodules(__name__, __path__)

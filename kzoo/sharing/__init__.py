"""Trained models for other people: the model, its names and a card, in a folder or on Hugging Face's hub."""

from kzoo.system.lazy import submodules

__getattr__ = submodules(__name__, __path__)

"""Masks as images: one of classes, or one for each object."""

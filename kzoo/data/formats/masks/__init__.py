"""Masks as image files: one of classes for each image, or one for each object."""

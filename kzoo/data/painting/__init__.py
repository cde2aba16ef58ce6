"""Polygons and run lengths to masks of pixels, and back."""

"""Masks of outlines and run lengths, and back."""

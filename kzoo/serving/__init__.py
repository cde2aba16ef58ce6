"""Models as an HTTP service: pictures in, objects out, with batches, limits and a page."""

from kzoo.serving.settings import Settings

__all__ = ["Settings"]

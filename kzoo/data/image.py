"""Images as datasets have them: `kzoo.sources.image` reads those of datasets and of predictions alike."""

from kzoo.sources.image import image_size, read_image

__all__ = ["image_size", "read_image"]

"""Models with weights as training might leave them."""

from kzoo.deploy.drawn import drawn as randomised

__all__ = ["NAMES", "SIZE", "randomised"]

SIZE = (64, 64)
NAMES = ["circle", "rectangle", "triangle"]

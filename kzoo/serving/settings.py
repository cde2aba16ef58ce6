"""What a service is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kzoo.options import check_values
from kzoo.options.serving import SERVE


@dataclass(frozen=True)
class Settings:
    """Batches and limits of a service.

    Attributes:
        token: what requests have to bring as `Authorization: Bearer TOKEN`; None (default) where nothing is asked for.
        batch_size: number of images that a model gets at once, at most; 8 by default.
        wait: milliseconds that an image waits for others to share its batch, at most; 5 by default.
        score_threshold: score below which detections are left out where a request names none, 0 to 1; 0.25 by default.
        poll: seconds between two looks for a new version of a model, 2 by default.
        most_bytes: number of bytes that the body of a request has, at most; 16 MiB by default.
        most_pixels: number of pixels that a picture has, at most; 2**24 by default.
        timeout: seconds that a request takes, at most; 30 by default.
        queue: number of images that wait for a model, at most; 128 by default.
        concurrency: number of requests that are worked on at a time, at most; 128 by default.

    Raises:
        ValueError: one of them is out of range.

    Example:
        >>> Settings(batch_size=16, timeout=10)
    """

    token: str | None = None
    batch_size: int = 8
    wait: float = 5
    score_threshold: float = 0.25
    poll: float = 2
    most_bytes: int = 2**24
    most_pixels: int = 2**24
    timeout: float = 30
    queue: int = 128
    concurrency: int = 128

    def __post_init__(self):
        check_values({one.name: getattr(self, one.name) for one in fields(self)}, SERVE)

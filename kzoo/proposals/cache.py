"""Proposals kept on disk, so that each image is searched once."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from kzoo.proposals.search import MODES, selective_search
from kzoo.system.files import replacing

_VERSION = 1  # of the search; raised where the same settings give other boxes


def default_folder() -> Path:
    """Where proposals are kept: in Keras's folder, `KERAS_HOME` or ~/.keras."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "kzoo" / "proposals"


class ProposalCache:
    """Selective search whose results are kept by what the image shows and by the settings.

    Args:
        folder: where the files lie, one an image and settings; a folder in Keras's cache where None.

    Example:
        >>> search = ProposalCache()
        >>> boxes = search(sample.image, mode="fast", min_side=20, width=500)
    """

    def __init__(self, folder: str | Path | None = None):
        self.folder = default_folder() if folder is None else Path(folder).expanduser()

    def __call__(self, image: np.ndarray, **settings) -> np.ndarray:
        """The boxes of an image: (N, 4) float32. A file that cannot be read is written anew.

        Args:
            image: (H, W, 3) uint8 RGB, or grey, as `selective_search` takes it.
            **settings: arguments of `selective_search`.
        """
        path = self.path(image, **settings)
        boxes = _read(path)
        if boxes is None:
            boxes = selective_search(image, **settings)
            with replacing(path) as fresh:
                np.savez_compressed(fresh, boxes=boxes)
        return boxes

    def path(self, image: np.ndarray, **settings) -> Path:
        """The file of an image's proposals, whether there is one or not.

        Args:
            image: (H, W, 3) uint8 RGB, or grey.
            **settings: arguments of `selective_search`.
        """
        bound = inspect.signature(selective_search).bind(image, **settings)
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if name != "image"}
        given["mode"] = (
            MODES.get(given["mode"], given["mode"]) if isinstance(given["mode"], str) else given["mode"]
        )
        if dataclasses.is_dataclass(given["mode"]):
            given["mode"] = dataclasses.asdict(given["mode"])
        image = np.ascontiguousarray(image)
        about = json.dumps([_VERSION, image.shape, str(image.dtype), given], sort_keys=True)
        digest = hashlib.sha256(about.encode())
        digest.update(image.data)
        return self.folder / f"{digest.hexdigest()}.npz"


def _read(path: Path) -> np.ndarray | None:
    """The boxes of a file; None where it is missing or damaged."""
    try:
        with np.load(path) as kept:
            boxes = kept["boxes"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    sound = boxes.ndim == 2 and boxes.shape[1] == 4 and boxes.dtype == np.float32
    return boxes if sound else None

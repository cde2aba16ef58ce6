"""What every exported file can do once it is open: the same `predict` and `detect` as a model's, without Keras."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from kzoo.deploy.metadata import Metadata
from kzoo.deploy.suppression import suppressed
from kzoo.proposals import Proposer
from kzoo.structures.images import check_images, check_inputs, check_proposals, images_of


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Exported:
    """An exported file, ready to run.

    Attributes:
        path: the file or folder.
        metadata: what the file says of itself.
        runtime: name and version of what runs it.
        format: what was written: one of `kzoo.options.exports.FORMATS`.
        is_folder: whether that is a folder, not a file.
        name, task, names, image_size, batch_size, resize, multiple: the fields of the metadata with these names.
    """

    runtime = ""
    format = ""
    is_folder = False

    def __init__(self, path: Path, metadata: Metadata):
        self.path = path
        self.metadata = metadata
        self.name = metadata.name
        self.task = metadata.task
        self.names = list(metadata.names)
        self.image_size = metadata.image_size
        self.batch_size = metadata.batch_size
        self.resize = metadata.resize
        self.multiple = metadata.multiple
        # What finds proposals where nobody gives any, of a graph that takes them.
        self.proposer = None if metadata.searching is None else Proposer(**metadata.searching)

    def __repr__(self) -> str:
        height, width = self.image_size
        return f"<{self.name} at {height}x{width} from {self.path}, by {self.runtime}>"

    def predict_on_batch(self, x) -> dict[str, np.ndarray]:
        """Results for a batch, of any number of images, whatever the file's own.

        Args:
            x: (B, H, W, 3) RGB images in 0..255 of the export's size; or of an export that takes proposals, these and
                `proposals` (B, P, 4) by name. Those of images alone are searched for.

        Raises:
            ValueError: these are no such images; floats are taken, if they are in 0..255, and rounded.
        """
        inputs = self.inputs(x)
        count = len(inputs["images"])
        if not self.batch_size or count == self.batch_size:
            return self._detections(self.run(**inputs))
        parts = []
        for start in range(0, count, self.batch_size):
            part = {name: values[start : start + self.batch_size] for name, values in inputs.items()}
            own = len(part["images"])
            missing = self.batch_size - own
            filled = {
                name: np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
                for name, values in part.items()
            }
            parts.append({key: value[:own] for key, value in self.run(**filled).items()})
        return self._detections(_joined(parts))

    def _detections(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What a model gives, of what the file does."""
        return found if self.metadata.suppressed else suppressed(found, self.metadata.decoding)

    def suppressing(self, kind: str, sigma: float | None = None) -> Exported:
        """The same file without suppression inside, with another one behind it.

        Args:
            kind: one of `kzoo.ops.nms.KINDS`.
            sigma: width of the suppression's kernel, above 0; the paper's where None.
        """
        other = copy.copy(self)
        decoding = {**self.metadata.decoding, "nms_kind": kind, "nms_sigma": sigma}
        other.metadata = dataclasses.replace(self.metadata, decoding=decoding)
        return other

    def inputs(self, x) -> dict[str, np.ndarray]:
        """What the file takes, by name: images, and where it takes them proposals, searched for if need be."""
        images = self._checked(images_of(x))
        if self.proposer is None:
            check_inputs(x, proposals=False)
            return {"images": images}
        if not isinstance(x, Mapping):
            return {"images": images, "proposals": self.proposer.batch(images)}
        check_inputs(x, proposals=True)
        given = np.asarray(x["proposals"], np.float32)
        check_proposals(given, len(images))
        count = self.proposer.count
        if given.shape[1] > count:
            raise ValueError(
                f"{self.path}: takes {count} proposals an image, not {given.shape[1]}; give the best {count}"
            )
        filled = np.zeros((len(images), count, 4), np.float32)
        filled[:, : given.shape[1]] = given
        return {"images": images, "proposals": filled}

    def predict(self, x: np.ndarray | Iterable, batch_size: int = 8) -> dict[str, np.ndarray]:
        """Results for images (N, H, W, 3) in 0..255, or for an iterable of batches of them.

        Args:
            x: images as one array, or batches of them: arrays, or tuples whose first element is one. Of an export
                that takes proposals, batches may be of images and proposals by name.
            batch_size: number of images that the file gets at once where `x` is an array, 8 by default.
        """
        if isinstance(x, Mapping):
            x = [x]
        if hasattr(x, "__array__"):
            x = np.asarray(x)
            x = [x[start : start + batch_size] for start in range(0, len(x), batch_size)] or [x]
        parts = [self.predict_on_batch(batch[0] if isinstance(batch, tuple) else batch) for batch in x]
        return _joined(parts)

    def detect(self, source, **arguments):
        """Finds objects in a photograph: see `kzoo.inference.detect.detect`."""
        from kzoo.inference.detect import detect

        return detect(self, source, **arguments)

    def track(self, source, **arguments):
        """Finds the objects of a video, and which are the same: see `kzoo.inference.tracking.track`."""
        from kzoo.inference.tracking import track

        return track(self, source, **arguments)

    def segment(self, source, **arguments):
        """The class of every pixel of a photograph of any size: see `kzoo.inference.segment.segment`."""
        from kzoo.inference.segment import segment

        return segment(self, source, **arguments)

    def _checked(self, images) -> np.ndarray:
        """Images (B, H, W, 3) as the file takes them, uint8; a ValueError where they are none."""
        images = np.asarray(images)
        expected = (*self.image_size, 3)
        if images.ndim != 4 or images.shape[1:] != expected or len(images) == 0:
            raise ValueError(
                f"{self.path}: takes images of shape (B, {', '.join(map(str, expected))}), "
                f"not {images.shape}; resize them, or use detect"
            )
        check_images(images, f"{self.path}: images")
        if images.dtype != np.uint8:
            images = np.clip(np.rint(images), 0, 255).astype(np.uint8)
        return images

    def run(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What the file computes of its inputs, by their names, of exactly its shapes and types."""
        raise NotImplementedError


def _joined(parts: list[dict]) -> dict[str, np.ndarray]:
    """The results of several batches as those of one."""
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

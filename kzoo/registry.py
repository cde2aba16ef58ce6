"""Names of models, and where each is built. Nothing is imported until a name is asked for."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """What is known of a model without building it.

    Attributes:
        name: the paper's own name.
        target: "module:function" that builds it.
        task: "detect", "segment", "instance" or "classify".
        image_size: height and width in pixels it was published at.
        paper: where it was published.
        parameters: the published count, batch-norm statistics included, at `num_classes`.
        num_classes: the classes of that count.
    """

    name: str
    target: str
    task: str
    image_size: tuple[int, int]
    paper: str
    parameters: int
    num_classes: int


_YOLOV3 = "Redmon & Farhadi 2018, YOLOv3: An Incremental Improvement, arXiv:1804.02767"

_ENTRIES = (
    Entry("darknet53", "kzoo.models.darknet:darknet53", "classify", (256, 256), _YOLOV3, 41_645_640, 1000),
    Entry("yolov3", "kzoo.models.yolov3:yolov3", "detect", (416, 416), _YOLOV3, 62_001_757, 80),
    Entry("yolov3-spp", "kzoo.models.yolov3:yolov3_spp", "detect", (608, 608), _YOLOV3, 63_052_381, 80),
    Entry("yolov3-tiny", "kzoo.models.yolov3:yolov3_tiny", "detect", (416, 416), _YOLOV3, 8_858_734, 80),
)
_BY_NAME = {entry.name: entry for entry in _ENTRIES}


def list_models(task: str | None = None) -> list[str]:
    """Registered names, sorted; of one task where it is given."""
    return sorted(entry.name for entry in _ENTRIES if task in (None, entry.task))


def entry(name: str) -> Entry:
    """The entry of `name`; `_` and `-` and letter case make no difference.

    Raises:
        ValueError: no model has that name; the message has the nearest ones.
    """
    key = str(name).lower().replace("_", "-")
    if key in _BY_NAME:
        return _BY_NAME[key]
    near = difflib.get_close_matches(key, _BY_NAME, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known names: {', '.join(list_models())}"
    raise ValueError(f"unknown model {str(name)!r}; {hint}")


def build(name: str, /, **arguments):
    """Builds a model by its name.

    Args:
        name: one of `kzoo.list_models()`.
        **arguments: the architecture function's own, such as `num_classes`, `image_size` (height, width),
            `width`, `depth`, `weights` (a `.keras`, `.weights.h5` or Darknet's `.weights` file, or the name of
            published ones, such as "coco") and `backbone_weights`.

    Returns:
        A `kzoo.ZooModel`, untrained where no weights are given.

    Example:
        >>> model = kzoo.build("yolov3-tiny", num_classes=3)
    """
    found = entry(name)
    module, function = found.target.split(":")
    return getattr(importlib.import_module(module), function)(**arguments)

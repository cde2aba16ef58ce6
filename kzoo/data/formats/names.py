"""Class names, from wherever they are written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kzoo.data.formats.descriptions import is_description, read_description
from kzoo.data.formats.name_lists import read_names
from kzoo.system.messages import check_names

VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
COCO = (
    "person", "bicycle", "car", "motorbike", "aeroplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "sofa", "pottedplant", "bed", "diningtable", "toilet",
    "tvmonitor", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
KNOWN = {"coco": COCO, "voc": VOC}


def class_names(source: str | Path | Sequence[str] | None) -> list[str] | None:
    """The names that a source of them stands for.

    Args:
        source: the names themselves; a `.names` or `.txt` file, one a line; a Darknet `.data` file or a
            `data.yaml`; "coco" (80, in Darknet's spelling) or "voc" (20); or None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no names in it, or it is no text.
    """
    if source is None or not isinstance(source, (str, Path)):
        names = None if source is None else [str(name) for name in source]
        check_names(names or (), "names")
        return names
    path = Path(source)
    if str(source) in KNOWN and not path.is_file():
        return list(KNOWN[str(source)])
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file of class names; give a .names or .data file, or {' or '.join(KNOWN)}"
        )
    return read_description(path).names if is_description(path) else read_names(path)

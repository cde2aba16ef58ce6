"""What an exported file says of itself: stored in the file, read back without Keras or TensorFlow."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import kzoo
from kzoo.augment.letterbox import check_resize
from kzoo.data.formats.parsing import parse_json
from kzoo.inference.detect import DEFAULT_SCORE
from kzoo.system.messages import check_names

FILE_NAME = "kzoo.json"
_DECODING = (
    "score_threshold",
    "nms_threshold",
    "max_detections",
    "class_agnostic",
    "nms_kind",
    "nms_beta",
    "nms_sigma",
    "candidates",
    "masks_aligned",
    "looks",
)


@dataclasses.dataclass(frozen=True)
class Metadata:
    """The description that travels with an export.

    Attributes:
        name: what the model is called.
        task: "detect", "segment", "instance", "drive" or "classify".
        image_size: height and width in pixels of the input.
        names: class names.
        batch_size: number of images that the graph takes at once; any where None.
        quantize: "float16", "bfloat16", "int8", or None for float32.
        score_threshold: score from which detections are shown where nothing else is asked for.
        decoding: the head's settings, such as thresholds, that are fixed in the graph.
        resize: how photographs become its input: one of `kzoo.augment.RESIZES`.
        multiple: number of pixels that the network's sides are multiples of; tiles of large images start at them.
        version: the version of kzoo that wrote the export.
        searching: how proposals are found where nobody gives any, for a graph that takes them beside the images:
            arguments of `kzoo.proposals.Proposer`, of which `count` is the graph's own. None for other graphs.
        suppressed: whether boxes that lie on one another are suppressed inside; where not, whoever opens it does, as
            `decoding` says.
    """

    name: str
    task: str
    image_size: tuple[int, int]
    names: tuple[str, ...]
    batch_size: int | None = None
    quantize: str | None = None
    score_threshold: float = DEFAULT_SCORE
    decoding: dict = dataclasses.field(default_factory=dict)
    resize: str = "letterbox"
    multiple: int = 32
    version: str = kzoo.__version__
    searching: dict | None = None
    suppressed: bool = True

    @classmethod
    def of(
        cls,
        model,
        image_size,
        batch_size=None,
        quantize=None,
        name: str | None = None,
        resize: str | None = None,
        suppressed: bool = True,
    ) -> Metadata:
        """The description of a `ZooModel` that is about to be exported."""
        decoding = {key: getattr(model.head, key) for key in _DECODING if hasattr(model.head, key)}
        return cls(
            name=name or model.name,
            task=model.task,
            image_size=tuple(image_size),
            names=tuple(model.names),
            batch_size=batch_size,
            quantize=quantize,
            decoding=decoding,
            resize=resize or model.resize,
            multiple=model.multiple,
            searching=model.head.searching() if model.head.needs_proposals else None,
            suppressed=suppressed,
        )

    def to_json(self) -> str:
        """The description as JSON, for `from_json`."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False)

    def store(self, folder: Path) -> None:
        """Puts the description and the class names into a folder."""
        (folder / FILE_NAME).write_text(self.to_json(), encoding="utf-8")
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in self.names), encoding="utf-8")

    @classmethod
    def stored(cls, folder: Path, path: Path, format: str) -> Metadata:
        """What `store` put into a folder.

        Args:
            folder: the folder.
            path: the export that it is part of, for the error's sake.
            format: the format that it was written in, which the error's remedy names.

        Raises:
            ValueError: the folder has no such description, or it cannot be read.
        """
        file = folder / FILE_NAME
        if not file.is_file():
            raise ValueError(
                f"{path}: holds no description by kzoo ({file.relative_to(path)}); "
                f"write it with `kzoo export MODEL --format {format}`"
            )
        return cls.from_json(file.read_bytes(), file)

    @classmethod
    def from_json(cls, text: str | bytes, path: str | Path) -> Metadata:
        """Reads what `to_json` wrote; fields of later versions are passed over.

        Args:
            text: what `to_json` gave.
            path: the file it was found in, for the error's sake.

        Raises:
            ValueError: it is no such JSON.
        """
        try:
            values = parse_json(text, Path(path))
            # Older files do not say what they could be in one way alone.
            values = {"resize": "letterbox", "searching": None, "suppressed": True, **values}
            known = {field.name: values[field.name] for field in dataclasses.fields(cls)}
            check_resize(known["resize"])
            known["image_size"], known["names"] = tuple(known["image_size"]), tuple(known["names"])
            check_names((known["name"], *known["names"]), path)
            return cls(**known)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: its description ({FILE_NAME}) cannot be read: {error!r}; export it again"
            ) from error

"""Which folders of a dataset hold images, and which their masks: by their names, by what they hold, or as a `data.yaml`
says.

| layout | for example |
|---|---|
| two folders | `images/` and `masks/`, also with the parts in both: `images/train`, `masks/train` |
| a folder a part | `train/images` and `train/masks` |
| a folder of masks beside each of images | `train/` and `train_masks/`, as Carvana's; `train/` and `trainannot/` |
| `data.yaml` | `train: {images: images/train, masks: masks/train}` |
| side by side | `001.jpg` and `001_mask.png`; `001.bmp` and `001.png` |

Names of folders are taken in any letter case. Folders called `labels`, `annotations` or `gt` hold masks where they
hold images and nothing else.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kzoo.data.formats.descriptions import read_fields
from kzoo.data.parts import is_usual_split, order_splits
from kzoo.sources.finding import existing_path, files_in, folders_in, is_hidden, is_image, walk_files

_IMAGES = ("images", "image", "imgs", "img")
_MASKS = ("masks", "mask")
_LABELS = ("labels", "label", "annotations", "annotation", "gt", "groundtruth", "ground_truth", "segmentations",
           "segmentation")  # fmt: skip
# What the name of a folder of masks may have after that of its images: "train_masks", "trainannot".
_AFTER = ("_masks", "_mask", "masks", "_labels", "_annot", "annot", "_gt")
# What a mask's name may have after that of its image: "car_mask.gif", "ISIC_1_segmentation.png", "0001_L.png".
ENDINGS = ("", "_mask", "-mask", "_masks", "_segmentation", "_seg", "_gt", "_label", "_labels", "_l")
# Of two files of one name, the likelier mask first; no JPEG is one.
_LIKELY = (".gif", ".png", ".bmp", ".dib", ".tif", ".tiff")
_JPEG = (".jpg", ".jpeg", ".jpe")
_GLANCE = 50  # files
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")


@dataclass(frozen=True)
class Pair:
    """A folder of images and that of their masks.

    Attributes:
        images: the folder of the images.
        masks: the folder of the masks; that of the images where both lie side by side.
    """

    images: Path
    masks: Path


# Two folders, in one place or in one for each part.


def find_pairs(root: Path) -> dict[str | None, Pair]:
    """The folders of images and of masks by split; by None where there is one pair. None at all: an empty dict."""
    if not root.is_dir():
        return {}
    pair = _pair(root)
    if pair is not None:
        return _divided(pair)
    folders = folders_in(root)
    nested = {folder.name: _pair(folder) for folder in folders}
    nested = {name: pair for name, pair in nested.items() if pair is not None} or _with_masks_beside(folders)
    if len(nested) == 1 and not is_usual_split(next(iter(nested))):
        return {None: next(iter(nested.values()))}
    return {name: nested[name] for name in order_splits(nested)}


def _divided(pair: Pair) -> dict[str | None, Pair]:
    """A pair by its parts, where these are folders in both."""
    images, masks = (
        {path.name.lower(): path for path in folders_in(one)} for one in (pair.images, pair.masks)
    )
    common = any(is_usual_split(name) for name in images.keys() & masks.keys())
    if not common or any(map(is_image, files_in(pair.images))):
        return {None: pair}
    # A part that only one of the two has is a part all the same: its images lack their masks, or masks their images.
    pairs = {}
    for name in images | masks:
        with_images, with_masks = images.get(name), masks.get(name)
        part = (with_images or with_masks).name
        pairs[part] = Pair(with_images or pair.images / part, with_masks or pair.masks / part)
    return {name: pairs[name] for name in order_splits(pairs)}


def _pair(folder: Path) -> Pair | None:
    """The folders of images and masks in a folder."""
    below = {path.name.lower(): path for path in reversed(folders_in(folder))}
    images = [below[name] for name in _IMAGES if name in below]
    masks = [below[name] for name in _MASKS if name in below]
    masks += [below[name] for name in _LABELS if name in below and holds_masks(below[name])]
    return Pair(images[0], masks[0]) if images and masks else None


def holds_masks(folder: Path) -> bool:
    """Whether a folder holds images and no other files, so that those may be masks."""
    with os.scandir(folder) as entries:
        first = [Path(entry.name) for entry in itertools.islice(entries, _GLANCE) if entry.is_file()]
    if any(path.suffix and not is_hidden(path) and not is_image(path) for path in first):
        return False  # not to walk through a hundred thousand label files
    files = walk_files(folder)
    return bool(files) and all(is_image(path) and path.suffix.lower() not in _JPEG for path in files)


def _with_masks_beside(folders: list[Path]) -> dict[str, Pair]:
    """Folders of images that have one of masks beside them, by name."""
    known = {folder.name.lower(): folder for folder in folders}
    pairs = {}
    for folder in folders:
        masks = next((known[name] for end in _AFTER if (name := folder.name.lower() + end) in known), None)
        if masks is not None and holds_masks(masks) and any(map(is_image, files_in(folder))):
            pairs[folder.name] = Pair(folder, masks)
    return pairs


# Side by side.


def find_beside(root: Path) -> dict[str | None, Pair]:
    """A folder, or those of its parts, with images and masks side by side; an empty dict where there is none."""
    if _is_beside(root):
        return {None: Pair(root, root)}
    pairs = {
        folder.name: Pair(folder, folder)
        for folder in folders_in(root)
        if is_usual_split(folder.name) and _is_beside(folder)
    }
    return {name: pairs[name] for name in order_splits(pairs)}


def _is_beside(folder: Path) -> bool:
    """Whether at least every second image of a folder has a mask in it, and no text with boxes."""
    files = files_in(folder)
    masks, images = told_apart(files)
    texts = {path.stem for path in files if path.suffix.lower() in (".txt", ".xml", ".json")}
    return 0 < len(images) <= 2 * len(masks) and not any(path.stem in texts for path in images)


def rank(path: Path) -> tuple[int, str]:
    """An order of files of one name: the likelier mask first."""
    suffix = path.suffix.lower()
    return _LIKELY.index(suffix) if suffix in _LIKELY else len(_LIKELY) + (suffix in _JPEG), path.name


def told_apart(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The masks among the images of one folder, and the others."""
    by_stem: dict[str, list[Path]] = {}
    for path in filter(is_image, files):
        by_stem.setdefault(path.stem, []).append(path)
    masks, images = [], []
    for stem, paths in by_stem.items():
        if _of_image(stem, by_stem):
            masks += paths
            continue
        likeliest = min(paths, key=rank)
        for path in paths:
            mask = len(paths) > 1 and path == likeliest and path.suffix.lower() not in _JPEG
            (masks if mask else images).append(path)
    return masks, images


def _of_image(stem: str, stems: Iterable[str]) -> bool:
    """Whether a name is that of another image and what a mask's has after it."""
    return any(end and stem.lower().endswith(end) and stem[: -len(end)] in stems for end in ENDINGS)


# As a data.yaml says.


def description_of(root: Path) -> Path | None:
    """The `data.yaml` that names folders of images and masks: `root` itself or a file in it; None where none does."""
    if root.is_file():
        candidates = [root] if root.suffix.lower() in (".yaml", ".yml") else []
    else:
        candidates = [root / name for name in _DESCRIPTIONS if (root / name).is_file()]
    return next((file for file in candidates if _mapped(file)), None)


def _mapped(file: Path) -> dict[str, dict]:
    """The parts of a `data.yaml` that are folders of images and masks; none where it is no YAML, as others tell."""
    try:
        content = read_fields(file)
    except ValueError:
        return {}
    return {
        part: value
        for part, value in content.items()
        if isinstance(value, dict) and {"images", "masks"} <= {*value}
    }


def described_pairs(file: Path) -> dict[str | None, Pair]:
    """The folders that a `data.yaml` names, by split.

    Raises:
        ValueError: one of them is not there.
    """
    bases = description_bases(file)
    pairs = {}
    for part, folders in _mapped(file).items():
        pair = {name: _folder(file, f"{part}: {name}", folders[name], bases) for name in ("images", "masks")}
        pairs[part] = Pair(**pair)
    return {part: pairs[part] for part in order_splits(pairs)}


def description_bases(file: Path) -> list[Path]:
    """The folders that paths in a `data.yaml` may count from."""
    base = read_fields(file).get("path")
    return [*([file.parent / base] if isinstance(base, str) else []), file.parent]


def _folder(file: Path, place: str, written: object, bases: list[Path]) -> Path:
    path = existing_path(written, bases) if isinstance(written, str) else None
    if path is None or not path.is_dir():
        raise ValueError(f"{file}: {place}: {written!r} is no folder; correct it")
    return path

"""Which images of a folder are for training and which for testing, where lists beside them say so."""

from __future__ import annotations

import json
from pathlib import Path

from kzoo.data.dataset import order_splits

_USUAL = frozenset({"train", "val", "valid", "validation", "test", "trainval"})


def read_lists(root: Path) -> dict[str, list[str]]:
    """Names of images by split; empty where there are no lists.

    Args:
        root: the folder of the dataset. Looked at are `splits.json`, `{"train": [names], ...}`; `splits/*.txt`,
            `ImageSets/Segmentation/*.txt` and `ImageSets/*.txt`; `train.txt`, `val.txt` and `test.txt`: a name, or
            the path of an image, a line.

    Returns:
        {split: names without folder and suffix}, train, val and test first.

    Raises:
        ValueError: `splits.json` is not such a file.
    """
    file = root / "splits.json"
    if file.is_file():
        return _from_json(file)
    for folder in ("splits", "ImageSets/Segmentation", "ImageSets"):
        files = sorted((root / folder).glob("*.txt"))
        if files:
            break
    else:
        files = [path for path in sorted(root.glob("*.txt")) if path.stem in _USUAL]
    found = {path.stem: _names(path.read_text(encoding="utf-8-sig").splitlines()) for path in files}
    return {split: found[split] for split in order_splits(found)}


def _from_json(file: Path) -> dict[str, list[str]]:
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: not JSON: {error}; correct or remove it") from None
    good = isinstance(found, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in found.values()
    )
    if not good:
        raise ValueError(f'{file}: not lists of names; write {{"train": ["a", "b"], "val": ["c"]}}')
    return {split: _names(found[split]) for split in order_splits(found)}


def _names(lines: list[str]) -> list[str]:
    return [_stem(line.strip()) for line in lines if line.strip()]


def _stem(name: str) -> str:
    # Not every dot begins a suffix: names such as "frame_1.5" are common.
    path = Path(name)
    return path.stem if len(path.suffix) in (4, 5) and path.suffix[1:].isalpha() else path.name

"""Images and semantic masks in NumPy files: `images.npy` (N, H, W, 3) and `masks.npy` (N, H, W).

The files are mapped into memory: an image is read when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kzoo.data.dataset import Dataset, file_identity
from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.masks.legend import find_legend
from kzoo.data.formats.masks.values import BEYOND, names_of_values, settle, to_classes
from kzoo.data.painting.mask_faults import refuse_size, stray_values, verified
from kzoo.data.parts import choose_split, is_usual_split, order_splits
from kzoo.data.record import Record
from kzoo.structures import IGNORED
from kzoo.system.reading import UnfitFileError, refuse_unfit

# The array of masks that belongs to one of images.
_MASKS_OF = {"images": "masks", "image": "mask", "imgs": "masks", "x": "y"}
_KIND = re.compile(
    r"(?:(?P<before>\w+?)[_-])?(?P<kind>images|image|imgs|x)(?:[_-](?P<after>\w+))?", re.IGNORECASE
)
_LARGEST = 2**63  # bytes of a file: it is mapped, not read
_AT_ONCE = 2**24  # Pixels of masks that are looked through at once.


class Arrays(Dataset):
    """A folder of arrays, or one array of images with that of the masks beside it.

    Pairs are `images.npy` and `masks.npy`, or `X.npy` and `Y.npy`; parts are told by what stands before or after
    that (`train_images.npy` and `train_masks.npy`, `X_val.npy` and `Y_val.npy`) or by folders (`train/images.npy`).
    Images are (N, H, W, 3), (N, H, W, 1) or (N, H, W), uint8. Masks are (N, H, W) or (N, H, W, 1), of whole numbers
    or bool; 255 is ignored, unless there are no values but 0 and 255. Class names are those of `classes.txt`, which may
    give levels, too (see `kzoo.data.formats.masks.legend`).

    Args:
        root: the folder, or the file of the images.
        split: the part; None for all.

    Raises:
        ValueError: there is no such split, or arrays are of another kind or do not fit each other.
    """

    format = "arrays"
    semantic = True
    files = False

    def __init__(self, root: str | Path, split: str | None = None):
        root = Path(root)
        pairs = _pairs(root)
        if split is not None:
            split = choose_split(split, [part for part in pairs if part], root)
        checked = {part: _Pair(*files) for part, files in pairs.items()}
        self.legend = legend = find_legend(root if root.is_dir() else root.parent)
        # Levels that a legend of greys names; of other legends arrays hold the numbers.
        self._levels = legend is not None and legend.grey
        names, self.binary = names_of_values(
            root, legend, (values for pair in checked.values() for values in pair.stored_values())
        )
        super().__init__(root, split, names)
        self._pairs = list(checked.values()) if split is None else [checked[split]]
        self._ends = np.cumsum([len(pair) for pair in self._pairs])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _find(self, index: int) -> tuple[_Pair, int]:
        index = self._position(index)
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self._pairs[number], index - int(self._ends[number]) + len(self._pairs[number])

    def record(self, index: int) -> Record:
        pair, row = self._find(index)
        name = f"{pair.images.parent.name}/{pair.images.stem}" if len(self._pairs) > 1 else pair.images.stem
        return Record(
            _row_of(pair.images, row),
            id=f"{name}[{row}]",
            source=pair.masks,
            size=pair.size,
            mask=_row_of(pair.masks, row),
        )

    def image(self, index: int) -> np.ndarray:
        pair, row = self._find(index)
        image = np.asarray(_opened(pair.images)[row])
        image = image[..., None] if image.ndim == 2 else image[..., :3]
        return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.array(image)

    def identity(self, index: int) -> str:
        pair, row = self._find(index)
        return f"{file_identity(pair.images)}|{row}"

    def size(self, index: int) -> tuple[int, int]:
        return self._find(index)[0].size

    def probe(self, index: int) -> tuple[int, int]:
        return self.size(index)

    def mask_of(self, index: int, record: Record, size: tuple[int, int]) -> np.ndarray:
        pair, row = self._find(index)
        mask = np.asarray(_opened(pair.masks)[row])
        mask = mask[..., 0] if mask.ndim == 3 else mask
        if self._levels:
            mask = to_classes(
                _as_levels(mask, len(self.classes), record.mask), self.legend, False, record.mask
            )
        mask = mask.view(np.uint8) if mask.dtype == bool else mask
        mask = settle(mask, self.legend, self.binary, len(self.classes), record.mask)
        return verified(mask, size, len(self.classes), record.mask)


def _as_levels(mask: np.ndarray, classes: int, file: Path) -> np.ndarray:
    """Levels from 0 to 255, for a legend to look up."""
    stray = (mask < 0) | (mask > IGNORED)
    if stray.any():
        raise stray_values(mask, stray, classes, file)
    return mask.astype(np.uint8)


class _Pair:
    """An array of images and that of their masks, looked at once; the arrays are opened where they are used."""

    def __init__(self, images: Path, masks: Path):
        self.images = images
        self.masks = masks
        pixels, values = _opened(images), _opened(masks)  # (N, H, W[, 1 or 3]) and (N, H, W[, 1])
        shape = pixels.shape
        for path, array in ((images, pixels), (masks, values)):
            if not array.ndim or not array.size:
                message = f"nothing in it: its shape is {array.shape}"
                raise _unfit(path, "empty-array", message, "save it anew with numpy.save")
        if pixels.dtype != np.uint8:
            raise _unfit(images, "image-type", f"images of {pixels.dtype}", "save them as uint8, 0 to 255")
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
            raise _unfit(images, "image-shape", f"images of shape {shape}", "save them as (N, H, W, 3)")
        if values.dtype.kind not in "iub":
            raise _unfit(
                masks, "float-mask", f"masks of {values.dtype}", "save class numbers: masks.astype('uint8')"
            )
        if len(values.shape) == 4 and values.shape[3] > 1:
            message = f"masks of shape {values.shape}: colours, or a layer for each class"
            raise _unfit(
                masks, "mask-shape", message, "save class numbers (N, H, W): of layers masks.argmax(-1)"
            )
        if len(values.shape) not in (3, 4):
            raise _unfit(masks, "mask-shape", f"masks of shape {values.shape}", "save them as (N, H, W)")
        if len(pixels) != len(values):
            message = f"{len(values)} masks for {len(pixels)} images"
            raise _unfit(masks, "mask-count", message, f"give every image of {images.name} one")
        refuse_size(values.shape[1:3], shape[1:3], masks)
        self.size = shape[1:3]
        self._count = len(pixels)

    def __len__(self) -> int:
        return self._count

    def stored_values(self) -> Iterator[np.ndarray]:
        """(257,) how many pixels have each value, some masks at a time; those that no mask can have come last."""
        masks = _opened(self.masks)
        rows = max(1, _AT_ONCE // max(1, int(np.prod(masks.shape[1:]))))
        for start in range(0, len(masks), rows):
            some = np.asarray(masks[start : start + rows])
            inside = (some >= 0) & (some <= IGNORED)
            values = np.where(inside, some, BEYOND).astype(np.int64)
            yield np.bincount(values.ravel(), minlength=BEYOND + 1)


def _opened(path: Path) -> np.ndarray:
    """An array, mapped into memory. Opened each time: a map in a dataset would be sent to other processes whole."""
    try:
        refuse_unfit(path, _LARGEST)
        with np.errstate(over="ignore"):  # sides whose product no number holds are refused
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy evaluates the header, and does not promise what a damaged one raises
        if isinstance(error, UnfitFileError):
            raise _unfit(path, "unreadable-array", error.reason, error.remedy) from None
        # What NumPy advises beyond the first sentence is to switch its safety off.
        reason = f"cannot be read: {' '.join(str(error).split()).partition('. ')[0][:200]}"
        raise _unfit(path, "unreadable-array", reason, "save it anew with numpy.save") from None


def _unfit(path: Path, kind: str, message: str, remedy: str) -> FaultError:
    return FaultError(Fault(path, None, kind, message), remedy)


def _row_of(path: Path, row: int) -> Path:
    return path.with_name(f"{path.name}[{row}]")


def _pairs(root: Path) -> dict[str | None, tuple[Path, Path]]:
    """Arrays of images and masks by split; by None where there is no name of a split."""
    if root.is_file():
        partner = _partner(root)
        return {} if partner is None else {None: (root, partner)}
    pairs = {}
    for path in sorted([*root.glob("*.npy"), *root.glob("*/*.npy")]):
        partner = _partner(path)
        if partner is not None:
            match = _KIND.fullmatch(path.stem)
            part = match["before"] or match["after"] or (None if path.parent == root else path.parent.name)
            pairs.setdefault(part, (path, partner))
    parts = {part: pairs[part] for part in order_splits(part for part in pairs if part is not None)}
    if len(parts) == 1 and not is_usual_split(next(iter(parts))):
        return {None: next(iter(parts.values()))}  # "cell_images.npy"
    return parts or pairs  # Arrays of the whole may lie beside those of its parts.


def _partner(path: Path) -> Path | None:
    """The array of masks beside one of images; None where `path` is none or has none."""
    match = _KIND.fullmatch(path.stem)
    if match is None or path.suffix != ".npy":
        return None
    kind = match["kind"]
    mask = _MASKS_OF[kind.lower()]
    mask = mask.upper() if kind.isupper() else mask
    start, end = match.span("kind")
    for name in dict.fromkeys((mask, mask.lower())):
        beside = path.with_name(f"{path.stem[:start]}{name}{path.stem[end:]}.npy")
        if beside.is_file():
            return beside
    return None


def is_arrays(path: Path) -> bool:
    """Whether `path` is an array of images with one of masks beside it, or a folder of such."""
    return bool(_pairs(path)) if path.is_dir() or path.suffix == ".npy" else False


def splits(path: Path) -> list[str]:
    """The parts that the names of its files tell."""
    return [part for part in _pairs(path) if part is not None]

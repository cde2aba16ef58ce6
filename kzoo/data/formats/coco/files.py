"""Which JSON files a COCO dataset has, which part each of them is, and what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kzoo.data.fault import Fault
from kzoo.data.formats.coco.rows import category_of, identifier_of, is_text, shown
from kzoo.data.formats.foreign import name_foreign
from kzoo.data.formats.inside import KIND, Folders, OutsideError, around
from kzoo.data.formats.parsing import read_json
from kzoo.data.parts import is_usual_split, order_splits
from kzoo.sources.finding import IMAGE_SUFFIXES, child_of, files_in, folders_in
from kzoo.system.reading import read_bytes

# A file of one of these names holds the whole dataset, not a part called that.
_WHOLE = frozenset({"annotations", "instances", "labels", "coco", "data", "dataset", "result"})
_MARK = "_annotations.coco.json"
_LONGEST_NAME = 255  # bytes of a file's name


def annotation_files(root: Path) -> dict[str | None, Path]:
    """Annotation files by split; by None where there is one for the whole.

    Raises:
        ValueError: `root` has none, or two of one split.
    """
    files = [root] if root.is_file() else _files(root)
    if not files:
        raise ValueError(f"{root}: no COCO .json in it or its annotations folder")
    named: dict[str, Path] = {}
    for path in files:
        name = _split_name(path)
        if name in named:
            raise ValueError(
                f"{root}: {named[name].name} and {path.name} are both split {name!r}; remove one of them"
            )
        named[name] = path
    if len(files) == 1 and (files[0].stem.lower() in _WHOLE or files[0].stem.startswith("_annotations")):
        return named if is_usual_split(files[0].parent.name) else {None: files[0]}
    return {name: named[name] for name in order_splits(named)}


def _files(root: Path) -> list[Path]:
    files = files_in(child_of(root, "annotations"), {".json"})
    files = files or [path for folder in folders_in(root) for path in files_in(folder) if _is_roboflow(path)]
    files = files or [path for path in files_in(root, {".json"}) if _mentions_annotations(path)]
    return [path for path in files if path.name.lower().startswith("instances_")] or files


def _is_roboflow(path: Path) -> bool:
    return path.name.lower().endswith(".coco.json")


def _mentions_annotations(path: Path) -> bool:
    return b'"annotations"' in read_bytes(path).replace(b"\0", b"")  # UTF-16 looks like this, too


def _split_name(path: Path) -> str:
    if path.name.endswith(_MARK) or path.stem.lower() in _WHOLE:
        return path.parent.name
    stem = path.stem
    stem = stem[len("instances_") :] if stem.lower().startswith("instances_") else stem
    return stem.removesuffix("_annotations") or path.stem


class Part:
    """One annotation file: its lists, and where its images are.

    Args:
        path: the file.
        root: what the dataset was opened from.
        split: the part that the file is.

    Attributes:
        images, annotations, categories: the file's lists. Of `images` only the sound ones, with their positions:
            those with an id and a file name.
        ids: how many images have an id.
        by_image: positions of annotations by the id of their image.
        folder: where the images are, most likely.
        faults: entries that belong to no image, or are no category.

    Raises:
        ValueError: the file is not COCO's JSON.
    """

    def __init__(self, path: Path, root: Path, split: str | None):
        self.path = path
        content = read_content(path)
        self.annotations: list = content["annotations"]
        self.categories: list = content.get("categories") or []
        self.faults: list[Fault] = []
        self.images: list[tuple[int, dict]] = []
        for position, image in enumerate(content["images"]):
            complaint = _faulty_image(image)
            if complaint:
                self._complain("images", position, f"{complaint}; the entry is passed over")
            else:
                self.images.append((position, image))
        self.ids = Counter(identifier_of(image["id"]) for _, image in self.images)
        self.by_image: dict[int | str, list[int]] = {}
        for position, row in enumerate(self.annotations):
            image_id = row.get("image_id") if isinstance(row, dict) else None
            identifier = identifier_of(image_id)
            if identifier is not None:
                self.by_image.setdefault(identifier, []).append(position)
            else:
                self._complain("annotations", position, f"needs an 'image_id', has {shown(image_id)}")
        self._complain_of_twins()
        self._candidates = self._image_folders(root, split)
        self.folder = self._image_folder()
        self._allowed = Folders(*around(self.path, root))
        self.images = [row for row in self.images if self._may_be_read(*row)]

    def _complain(self, element: str, position: int, message: str) -> None:
        self.faults.append(Fault(self.path, position, "malformed", message, element=element))

    def _may_be_read(self, position: int, image: dict) -> bool:
        """Whether an image lies in the dataset's folder; names without a way out of it are not looked for."""
        name = image["file_name"].replace("\\", "/")
        if not name.startswith("/") and ".." not in name.split("/"):
            return True
        try:
            self._allowed.find(image["file_name"], [self.folder, *self._candidates])
        except OutsideError as error:
            self.faults.append(Fault(self.path, position, KIND, str(error), element="images"))
            return False
        return True

    def category_at(self, position: int) -> int | None:
        """The id of an entry of `categories`; None of one that is no class, which becomes a fault."""
        category = self.categories[position]
        identifier = category_of(category.get("id")) if isinstance(category, dict) else None
        name = category.get("name") if isinstance(category, dict) else None
        if identifier is None or isinstance(name, bool) or not (is_text(name) or isinstance(name, int)):
            message = (
                f"needs a whole number 'id' and a 'name', has {shown(category)}; the entry is passed over"
            )
            self._complain("categories", position, message)
            return None
        return identifier

    def _complain_of_twins(self) -> None:
        """Of images that have one file: only the first is read."""
        first: dict[str, dict] = {}
        for position, image in self.images:
            known = first.setdefault(image["file_name"], image)
            if known is not image:
                message = f"{shown(image['file_name'])} is the file of id {shown(known['id'])} already"
                self._complain("images", position, f"{message}: give a file one id; this one is passed over")

    def _image_folders(self, root: Path, split: str | None) -> list[Path]:
        base = root if root.is_dir() else self.path.parent
        base = base.parent if base.name.lower() == "annotations" else base
        images = child_of(base, "images")
        usual = [images, base, self.path.parent, child_of(base, "JPEGImages"), child_of(base, "data")]
        return [child_of(base, split), child_of(images, split), *usual] if split else usual

    def _image_folder(self) -> Path:
        for _, image in self.images[:20]:
            for folder in self._candidates:
                if (folder / image["file_name"]).is_file():
                    return folder
        # Where no image is there, errors name the likeliest folder that is; or else the file's own, which is the last
        # but two.
        return next((folder for folder in self._candidates if folder.is_dir()), self._candidates[-3])

    def find(self, name: str) -> Path:
        """The file of an image; where no folder has it, where it should be."""
        path = self._allowed.find(name, [self.folder, *self._candidates])
        return self.folder / name if path is None or path.is_dir() else path

    def unlisted(self) -> list[Path]:
        """Images beside those that the file lists, which it does not list, sorted."""
        listed = {self.find(image["file_name"]) for _, image in self.images}
        folders = {path.parent for path in listed if path.is_file()}
        beside = {path for folder in folders for path in files_in(folder, IMAGE_SUFFIXES)}
        return sorted(beside - listed)

    def problems(self) -> list[Fault]:
        """Entries that belong to no image, and annotations of images that the file does not list."""
        faults = []
        for identifier in self.by_image.keys() - self.ids.keys():
            message = f"image_id {shown(identifier)} is none of the file's images"
            for position in self.by_image[identifier]:
                fault = Fault(self.path, position, "label-without-image", message, element="annotations")
                faults.append(fault)
        return self.faults + sorted(faults, key=lambda fault: fault.line)

    def used_categories(self) -> set[int]:
        """Ids of the categories that something is annotated with."""
        rows = (row for row in self.annotations if isinstance(row, dict))
        identifiers = {category_of(row.get("category_id")) for row in rows}
        return {identifier for identifier in identifiers if identifier is not None}


def _faulty_image(image) -> str | None:
    """Why an entry of `images` is of no use; None for sound ones."""
    if not isinstance(image, dict) or "id" not in image or "file_name" not in image:
        return "needs 'id' and 'file_name'"
    if identifier_of(image["id"]) is None:
        return f"id {shown(image['id'])} is neither a whole number nor text"
    name = image["file_name"]
    if not is_text(name) or not name.strip() or "\0" in name or _too_long(name):
        return f"file_name {shown(name)} is no file's name"
    return None


def _too_long(name: str) -> bool:
    """Whether no file system takes a path."""
    return len(name) > 4000 or any(len(part.encode()) > _LONGEST_NAME for part in name.split("/"))


def read_content(path: Path) -> dict:
    """The lists of a COCO file.

    Raises:
        ValueError: it is no JSON, or not COCO's format; a panoptic file is called so.
    """
    content = read_json(path)
    lists = ("images", "annotations")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        foreign = name_foreign(path)
        raise ValueError(
            foreign or f"{path}: not COCO's format: it should hold the lists 'images' and 'annotations'"
        )
    if any(isinstance(row, dict) and "segments_info" in row for row in content["annotations"][:20]):
        raise ValueError(
            f"{path}: a panoptic file (its annotations have 'segments_info'): objects are in the file of instances; "
            "give that, or convert it with panopticapi's panoptic2detection_coco_format.py"
        )
    if not isinstance(content.get("categories") or [], list):
        raise ValueError(f"{path}: 'categories' is not a list; write one of ids and names")
    return content


def read_categories(parts: Iterable[Part]) -> dict[int, dict]:
    """Categories by id, in ascending order of the ids, over all files. Entries that are none become faults of their
    part, and what is annotated with them is of no class.

    Raises:
        ValueError: an id has two names, or none is left for what is annotated.
    """
    categories: dict[int, dict] = {}
    parts = list(parts)
    for part in parts:
        own: set[int] = set()
        for position, category in enumerate(part.categories):
            identifier = part.category_at(position)
            if identifier is None:
                continue
            name, known = category["name"], str(categories.setdefault(identifier, category)["name"])
            if identifier in own or known != str(name):
                raise ValueError(
                    f"{part.path}:categories[{position}]: id {identifier} is {shown(known)} already; give every class "
                    "one id"
                )
            own.add(identifier)
    if not categories and any(part.annotations for part in parts):
        told = next((f"{fault.place}: {fault.message}" for part in parts for fault in part.faults
                     if fault.element == "categories"), f"{parts[0].path}: no 'categories'")  # fmt: skip
        raise ValueError(f"{told}; list every class with its id and name")
    return dict(sorted(categories.items()))


def group_candidates(categories: dict[int, dict]) -> set[int]:
    """Ids of the categories that others name as their `supercategory`.

    One of these that nothing is annotated with is a group and no class: Roboflow lists the project's name so.
    """
    above: dict[str, set[int]] = {}
    for identifier, category in categories.items():
        if isinstance(category.get("supercategory"), str):
            above.setdefault(category["supercategory"], set()).add(identifier)
    return {key for key, category in categories.items() if above.get(str(category["name"]), set()) - {key}}

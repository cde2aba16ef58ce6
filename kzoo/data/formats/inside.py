"""Which images the files of a dataset may name: those in its folder, and those in folders that the user allows.

Lists come from strangers, and may name any picture of this machine, which would then be trained on or copied. Links in
the dataset's folder are followed, wherever they lead: who unpacked it has put them there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from kzoo.data.fault import Fault
from kzoo.sources.finding import existing_path, split_path
from kzoo.system.messages import one_line

ALLOWED = "KZOO_DATA_FOLDERS"
KIND = "outside-image"  # the kind of fault of images that are not to be read
# Folders in a dataset's that lists lie in; what lies beside these is the dataset's, too.
_OF_LISTS = frozenset({"annotation", "annotations", "cfg", "data", "labels", "lists"})


class OutsideError(ValueError):
    """An image that a file names and that is not to be read; its message is what is wrong.

    Args:
        path: the image.
        folder: the dataset's folder.
    """

    def __init__(self, path: Path, folder: Path):
        path = path.resolve()
        super().__init__(
            f"{one_line(path)} lies outside of {one_line(folder)}, and is not read; copy it there, or allow it by "
            f"{ALLOWED}={one_line(path.parent)}"
        )


class Folders:
    """The folders that images may lie in: a dataset's own, and those of the environment's KZOO_DATA_FOLDERS.

    Args:
        *folders: the dataset's own, the first of which messages name.

    Example:
        >>> Folders(Path("street")).hold(Path("street/images/a.jpg")), Folders(Path("street")).hold(Path("/home/a.jpg"))
        (True, False)
    """

    def __init__(self, *folders: Path):
        allowed = filter(None, os.environ.get(ALLOWED, "").split(os.pathsep))
        self.first = folders[0]
        self._folders = [Path(folder).absolute() for folder in (*folders, *allowed)]
        self._real = [folder.resolve() for folder in self._folders]

    def hold(self, path: Path) -> bool:
        """Whether a path lies in one of the folders, as it is written or where it leads."""
        # "a/.." is not where one is, should a be a link.
        plain = ".." not in path.parts and any(map(path.absolute().is_relative_to, self._folders))
        return plain or any(map(path.resolve().is_relative_to, self._real))

    def find(
        self, written: str | Path, bases: Sequence[Path], unchanged_below: Iterable[Path] = ()
    ) -> Path | None:
        """As `kzoo.sources.finding.existing_path`, of an image in these folders.

        Raises:
            OutsideError: there is one elsewhere alone.
        """
        path = existing_path(written, bases, unchanged_below)
        if path is None or self.hold(path):
            return path
        # A dataset may be a copy of one that its lists still name.
        copy = existing_path("/".join(split_path(str(written))), bases)
        if copy is not None and self.hold(copy):
            return copy
        raise OutsideError(path, self.first)


def around(file: Path, root: Path) -> list[Path]:
    """The folders that the images of a file may lie in.

    Args:
        file: a list, or a file of annotations.
        root: what the dataset was opened from: its folder; or the file, which then stands for its own folder, and for
            the one above where its own is one of lists.
    """
    if root.is_dir():
        return [root]
    above = [file.parent.parent] if file.absolute().parent.name.lower() in _OF_LISTS else []
    return [file.parent, *above]


def told(file: Path, outside: Sequence[tuple[int, OutsideError]]) -> list[Fault]:
    """What is wrong with the lines of a list, each with its number, that name images outside; one fault for all."""
    if not outside:
        return []
    number, first = outside[0]
    more = f" (and {len(outside) - 1} more)" if len(outside) > 1 else ""
    return [Fault(file, number, KIND, f"{first}{more}")]

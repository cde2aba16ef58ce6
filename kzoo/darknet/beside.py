"""Files that a `.cfg` needs and that lie around it: class names, word trees, maps of classes."""

from __future__ import annotations

import re
from pathlib import Path

from kzoo.darknet.cfg import Section
from kzoo.data.formats.names import class_names
from kzoo.data.formats.text import read_lines
from kzoo.sources.finding import existing_path, files_in

# Where Darknet has its cfg/*.cfg, cfg/*.data and data/*.names.
_FOLDERS = ("data", "cfg")


def names_around(cfg: Path, classes: int) -> tuple[list[str] | None, str | None]:
    """The class names that go with a cfg file.

    Those of a `.names` file that is called as the cfg and lies beside it. Else of those `.data` and `.names` files
    beside it and in folders data/ and cfg/ there (and beside cfg/, where it lies in one) that list as many as there
    are classes; of several different lists, the one of a file of the cfg's own name, else of one whose name stands in
    it, as "voc" in yolov3-voc.cfg.

    Args:
        cfg: the path of the cfg file.
        classes: how many classes the network tells apart.

    Returns:
        The names, or None where none were taken; and a warning where several lists would fit, or None.

    Raises:
        ValueError: a file that is called as the cfg has no names in it.
    """
    if cfg.with_suffix(".names").is_file():
        return class_names(cfg.with_suffix(".names")), None
    files: dict[tuple[str, ...], list[Path]] = {}  # of each list of names, those that hold it
    for path in _candidates(cfg):
        try:
            names = tuple(class_names(path))
        except (OSError, ValueError):
            continue  # a file of that ending, but of another program
        if len(names) == classes:
            files.setdefault(names, []).append(path)
    # From the loosest rule to the strictest: the first under which a single list is left decides.
    for belongs in (
        lambda path: True,
        lambda path: path.stem == cfg.stem,
        lambda path: path.stem in cfg.stem,
    ):
        candidates = [names for names, paths in files.items() if any(map(belongs, paths))]
        if len(candidates) == 1:
            return list(candidates[0]), None
    if not files:
        return None, None
    paths = ", ".join(str(paths[0]) for paths in list(files.values())[:5])
    return (
        None,
        f"{cfg}: {paths} list {classes} different names each, and none was taken; give names (--names)",
    )


def _candidates(cfg: Path) -> list[Path]:
    """The `.data` and `.names` files around a cfg, each once, whatever path leads to it."""
    folder = cfg.parent
    folders = [folder, *(folder / name for name in _FOLDERS)]
    if folder.resolve().name in _FOLDERS:
        folders += [folder / ".." / name for name in _FOLDERS]
    by_place: dict[Path, Path] = {}
    for suffix in (".data", ".names"):
        for folder in folders:
            for path in files_in(folder, (suffix,)):
                by_place.setdefault(path.resolve(), path)
    return list(by_place.values())


def file_of(section: Section, key: str) -> Path | None:
    """The file that a key names, as seen from the cfg, from the folder above it or from where Python runs."""
    folder = Path(section.file).parent
    return existing_path(section.text(key), [folder, folder / ".."], [Path()])


def read_tree(section: Section) -> tuple[list[int], list[str]]:
    """The parents and the names of a tree's nodes, from the file that `tree` names: a name and a parent a line.

    Raises:
        ValueError: there is no such file, or it holds no tree; the message names the line.
    """
    path = _required_file(section, "tree")
    parents, names = [], []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        name, *columns = line.split()
        parent = _integer(columns[0]) if columns else -1
        if parent is None or not -1 <= parent < len(parents):
            raise ValueError(
                f"{path}:{number}: {line.strip()[:60]!r} has no parent that stands before it; give a name and the "
                f"number of a node from 0 to {len(parents) - 1}, or -1 at the top"
            )
        parents.append(parent)
        names.append(name)
    if not parents:
        raise ValueError(f"{path}: holds no tree; give a name and a parent a line")
    return parents, names


def read_map(section: Section, nodes: int) -> list[int]:
    """The node that each class is, from the file that `map` names: a number a line.

    Raises:
        ValueError: there is no such file, or a line of it is no node; the message names the line.
    """
    path = _required_file(section, "map")
    nodes_of_classes = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        node = _integer(line.strip())
        if node is None or not 0 <= node < nodes:
            raise ValueError(
                f"{path}:{number}: {line.strip()[:60]!r} is no class; give a number from 0 to {nodes - 1}"
            )
        nodes_of_classes.append(node)
    if not nodes_of_classes:
        raise ValueError(f"{path}: holds no classes; give a number a line")
    return nodes_of_classes


def _required_file(section: Section, key: str) -> Path:
    """The file that a key names, which must be there."""
    path = file_of(section, key)
    if path is None or not path.is_file():
        raise section.fault(key, "no such file beside the cfg, in the folder above it or here; put it there")
    return path


def _integer(text: str) -> int | None:
    """A whole number of at most nine digits; None where a text is none."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None

"""Options of `kzoo push`."""

from __future__ import annotations

import re
from typing import Any

from kzoo.options.kinds import Flag, Option, Special
from kzoo.options.words import Place


def _licence(value: Any) -> str:
    """The name of a licence in small letters, as the hub's list has them."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,79}", value):
        raise ValueError(value)
    return value


PUSH: dict[str, Option] = {
    "run": Place(
        help="The run folder of a training, whose best model is shared, or a .keras file.",
        what="a run folder or a .keras file",
    ),
    "target": Place(
        help="Where to; a folder to write, or hf://USER/NAME on Hugging Face, also hf://USER/NAME@BRANCH.",
        what="a folder, or hf://USER/NAME",
    ),
    "licence": Special(
        help="The licence of the weights.",
        otherwise="the card says that none is stated",
        takes=_licence,
        form="a name as Hugging Face has them, such as apache-2.0",
        none=True,
    ),
    "notes": Place(
        help="The file with what the model is known to get wrong, in Markdown, which becomes a part of the card.",
        otherwise="the card says that nobody has written that down",
        what="a text file",
        none=True,
        path=True,
    ),
    "private": Flag(help="Make the new repository private.", needs={"target": ("hf://USER/NAME",)}),
    "predictions": Flag(
        help="Show what the model finds on images of the dataset, which are published with it."
    ),
    "exist_ok": Flag(
        help="Replace the folder that an earlier kzoo push wrote.", needs={"target": ("a folder",)}
    ),
}

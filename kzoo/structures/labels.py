"""Class numbers and their names."""

from __future__ import annotations

from collections.abc import Sequence

IGNORED = 255  # In semantic masks: a pixel that neither trains nor counts.


def class_name(names: Sequence[str], label: int) -> str:
    """What to call a class; "class 7" where it has no name."""
    return str(names[label]) if 0 <= label < len(names) else f"class {label}"

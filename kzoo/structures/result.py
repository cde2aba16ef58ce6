"""What every result of one image can do."""

from __future__ import annotations

from kzoo.structures.draw import encode_png
from kzoo.structures.labels import class_name


class Result:
    """A result with `names`, `path` and `image`, a `summary` and `draw`."""

    def __repr__(self) -> str:
        where = f" in {self.path}" if self.path else ""
        return f"{type(self).__name__}({self.summary() or 'nothing'}{where})"

    def name(self, label: int) -> str:
        """The class name of `label`."""
        return class_name(self.names, int(label))

    def _repr_png_(self) -> bytes | None:
        """Shows the drawn picture in a notebook."""
        if self.image is None:
            return None
        return encode_png(self.draw())

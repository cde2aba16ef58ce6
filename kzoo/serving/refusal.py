"""Why a request is refused: a status, a line that names the remedy, and what the client is told besides."""

from __future__ import annotations

from collections.abc import Mapping

from kzoo.system.messages import one_line

_LONGEST = 400  # letters of a message: what a client sent is quoted, but not a page of it


class Refusal(Exception):
    """A request that is not done.

    Args:
        status: the status code of the answer, 400 to 499 or 503.
        message: what is wrong, and what to do, in one line.
        headers: headers of the answer, such as `Retry-After`; none by default.

    Example:
        >>> raise Refusal(413, "body: 20 bytes, and 10 are taken at most; send a smaller picture")
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None):
        line = one_line(message)
        self.status, self.message = status, line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
        self.headers = dict(headers or {})
        super().__init__(self.message)


def busy(what: str) -> Refusal:
    """The refusal of a request that may come again in a second.

    Args:
        what: what there is too much of, in one line.
    """
    return Refusal(429, f"{what}; try again in a second", {"Retry-After": "1"})

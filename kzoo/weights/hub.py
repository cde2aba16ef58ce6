"""Models on Hugging Face's hub: `hf://USER/NAME` wherever the path of a `.keras` file is taken."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kzoo import __version__
from kzoo.data.formats.text import shorten
from kzoo.system.files import disk_error
from kzoo.weights.strangers import check_stranger

MODEL_FILE = "model.keras"  # what `kzoo push` calls it
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
FORMS = "hf://USER/NAME, hf://USER/NAME@REVISION or hf://USER/NAME/FILE.keras"
# Path makes one slash of two.
_WRITTEN = re.compile(r"hf:/{1,2}([^/@\s]+/[^/@\s]+)(?:@([^/@\s]+))?(?:/(.+))?")


@dataclass(frozen=True)
class Address:
    """A repository on the hub, and what of it is meant.

    Attributes:
        repository: whose it is and its name, as USER/NAME.
        revision: a branch, a tag or a commit; None for the main branch.
        file: the path of a file in the repository; None for the model that `kzoo push` puts there.
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    @classmethod
    def parse(cls, text: str | Path) -> Address:
        """The address that a text is.

        Raises:
            ValueError: it is none; the message has the forms there are.
        """
        match = _WRITTEN.fullmatch(str(text))
        if match is None:
            written = re.sub("^hf:/+", "hf://", str(text))
            raise ValueError(f"{written}: no address of a repository; give {FORMS}")
        return cls(*match.groups())

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf://{self.repository}{revision}{f'/{self.file}' if self.file else ''}"

    @property
    def name(self) -> str:
        """The repository's name without its user's."""
        return self.repository.partition("/")[2]

    @property
    def page(self) -> str:
        """The web page of the repository."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.repository}"


def is_address(path) -> bool:
    """Whether this is written as an address on the hub, right or wrong."""
    return isinstance(path, (str, Path)) and str(path).startswith("hf:/")


def local_file(path):
    """The file on this machine that is meant: of an address on the hub its copy in huggingface_hub's cache.

    The hub is asked whether the copy is its latest; where it cannot be reached, or HF_HUB_OFFLINE is set, the copy
    that is there is taken. The file is looked through before anybody opens it: see
    `kzoo.weights.strangers.check_stranger`.

    Args:
        path: an address such as `hf://USER/NAME`; all else, paths and None among it, is given back as it is.

    Raises:
        ValueError: the address is none, or of another file than a `.keras` one; the file is damaged, or would run
            code of its author.
        OSError: it cannot be fetched; the message says why, and what to do.
    """
    if not is_address(path):
        return path
    address = Address.parse(path)
    file = address.file or MODEL_FILE
    if not file.endswith(".keras"):
        raise ValueError(
            f"{address}: of the hub .keras files alone are opened; download {file} ({address.page}), and give its path"
        )
    remedy = f"look to the network, or download it elsewhere ({address.page}), and give its path"
    with speaking_to_hub(address, remedy):
        fetched = Path(interface().hf_hub_download(address.repository, file, revision=address.revision))
    check_stranger(fetched, str(address))
    return fetched


def interface():
    """The hub's interface, which is told who asks."""
    from huggingface_hub import HfApi

    return HfApi(library_name="kzoo", library_version=__version__)


@contextlib.contextmanager
def speaking_to_hub(address: Address, remedy: str) -> Iterator[None]:
    """Says what huggingface_hub raises in the block in words of one line: the address, what is wrong, what to do.

    Its progress bars are for terminals alone, and what it notes of each new try for nobody.

    Args:
        address: the repository that is spoken of.
        remedy: what to do where the hub cannot be reached.
    """
    from huggingface_hub import utils

    bars = not (sys.stderr.isatty() or utils.are_progress_bars_disabled())
    verbosity = utils.logging.get_verbosity()
    if bars:
        utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    try:
        yield
    except Exception as error:  # of several libraries that speak to the net, and of the disk
        raise _told(address, error, remedy) from error
    finally:
        utils.logging.set_verbosity(verbosity)
        if bars:
            utils.enable_progress_bars()


def _told(address: Address, error: Exception, remedy: str) -> Exception:
    """An error of huggingface_hub's, or of the libraries below it, in our words."""
    from huggingface_hub import constants, errors

    if isinstance(error, (errors.LocalEntryNotFoundError, RuntimeError)):  # the reason is what it comes of
        error = error.__cause__ or error
    if constants.HF_HUB_OFFLINE and isinstance(
        error, (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)
    ):
        return OSError(f"{address}: HF_HUB_OFFLINE keeps kzoo from the hub; unset it")
    for known, kind, words in _known(address, remedy):
        if isinstance(error, known):
            return kind(f"{address}: {words}")
    if isinstance(error, ValueError) and not hasattr(error, "response"):  # of the card's head, or of a name
        return ValueError(f"{address}: refused by the hub: {shorten(str(error), 300)}")
    return OSError(f"{address}: {_other(address, error, remedy)}")


def _known(address: Address, remedy: str) -> list[tuple[type, type, str]]:
    """What huggingface_hub raises, the narrower first: its error, the kind of ours, and the words."""
    from huggingface_hub import errors

    file = address.file or MODEL_FILE
    other = (
        "look at the path" if address.file else "kzoo push has not written it; give hf://USER/NAME/FILE.keras"
    )
    return [
        (
            errors.GatedRepoError,
            PermissionError,
            f"its owner says who may have it; ask for that on {address.page}, and {LOG_IN}",
        ),
        (
            errors.RepositoryNotFoundError,
            FileNotFoundError,
            f"no such repository, or a private one; look at its name, or {LOG_IN}",
        ),
        (
            errors.RevisionNotFoundError,
            FileNotFoundError,
            f"no revision {address.revision!r} in it; give a branch, a tag or a commit that {address.page} has",
        ),
        (errors.LocalEntryNotFoundError, OSError, f"cannot be reached; {remedy}"),
        (errors.EntryNotFoundError, FileNotFoundError, f"no {file} in this repository; {other}"),
    ]


def _other(address: Address, error: Exception, remedy: str) -> str:
    """What is wrong by the server's answer, by the disk's, or by what little is known."""
    disk = disk_error(error)
    if disk is not None:
        from huggingface_hub import constants

        return f"cannot be kept in {constants.HF_HUB_CACHE} ({disk.strerror}); make room, or set HF_HUB_CACHE"
    said = shorten(getattr(error, "server_message", None) or str(error) or type(error).__name__, 200)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return f"the hub does not know this token (401); {LOG_IN}"
    if status == 403:
        return f"this token may not do that (403: {said}); {LOG_IN}, with a token that may write"
    if status is not None:
        return f"refused by the hub ({status}: {said}); try again later, or look at {address.page}"
    return f"cannot be reached ({said}); {remedy}"

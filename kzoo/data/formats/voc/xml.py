"""One annotation file of Pascal VOC: its objects, and what could not be read.

Files come from strangers: whatever they hold ends in boxes and faults, in time and memory that grow with the file.
"""

from __future__ import annotations

import codecs
import io
import math
import re
import xml.sax
import xml.sax.handler
import xml.sax.xmlreader
from pathlib import Path

import defusedxml
import defusedxml.sax

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.text import decode, shorten
from kzoo.system.messages import is_plain
from kzoo.system.reading import UnfitFileError, read_bytes

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FIELDS = frozenset({"name", "difficult", "crowd", *_CORNERS})
_LONGEST_NAME = 1000  # letters of a class
_TRUE, _FALSE = ("1", "true", "yes"), ("", "0", "false", "no", "unspecified")
_LARGEST_FILE = 2**26  # bytes of one image's annotation
_LARGEST_SIDE = 10**6  # pixels; a claimed size beyond it is none
_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["'][^>]*\?>""")
_WIDE = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}  # without their mark
# Codecs that no editor writes and that may take long, or mean the machine's own.
_NO_ENCODINGS = frozenset(
    {"idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_7"}
)


class Annotation:
    """One annotation file: parallel lists for its objects, and what could not be read.

    Attributes:
        path: the file.
        names: class of every object.
        boxes: x1, y1, x2, y2 of every object, from 0, right and bottom edges exclusive.
        difficult: whether every object is difficult, Pascal VOC's flag.
        crowd: whether every object is a crowd, a flag that kzoo writes.
        lines: line at which every object begins, from 1.
        size: (height, width) the file claims; None where it does not say.
        image: the texts of the elements "folder", "filename" and "path", of those that it has.
        problems: what could not be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.names: list[str] = []
        self.boxes: list[tuple[float, float, float, float]] = []
        self.difficult: list[bool] = []
        self.crowd: list[bool] = []
        self.lines: list[int] = []
        self.size: tuple[int, int] | None = None
        self.image: dict[str, str] = {}
        self.problems: list[Fault] = []

    def complain(self, line: int | None, kind: str, message: str, severity: str = "error") -> None:
        """Adds a fault of the file to `problems`; see `Fault` for what its arguments are."""
        self.problems.append(Fault(self.path, line, kind, message, severity))

    def add(self, line: int, fields: dict[str, str]) -> None:
        """An `<object>` that began at `line`, as a flat dict of its elements' texts."""
        name = fields.get("name")
        if not name:
            return self.complain(line, "malformed", "an object without a name")
        if len(name) > _LONGEST_NAME or not is_plain(name):
            return self.complain(line, "malformed", f"object {shorten(name)!r}: no name of a class")
        missing = [corner for corner in _CORNERS if corner not in fields]
        if missing:
            return self.complain(line, "malformed", f"object {name!r} has no {', '.join(missing)}")
        texts = [fields[corner] for corner in _CORNERS]
        try:
            x1, y1, x2, y2 = (float(text) for text in texts)
        except ValueError:
            shown = _short(" ".join(texts))
            return self.complain(line, "malformed", f"box {shown} of object {name!r} is not four numbers")
        # A box from a pixel to itself is a click without a drag: it gets no width.
        self.boxes.append((x1 - 1, y1 - 1, x2 - (x1 == x2), y2 - (y1 == y2)))
        self.names.append(name)
        self.difficult.append(self._flag(line, fields, "difficult"))
        self.crowd.append(self._flag(line, fields, "crowd"))
        self.lines.append(line)
        return None

    def _flag(self, line: int, fields: dict[str, str], key: str) -> bool:
        text = fields.get(key, "").lower()
        if text not in (*_TRUE, *_FALSE):
            self.complain(
                line, "malformed", f"{key} {_short(text)!r} is neither 0 nor 1: taken for 0", "warning"
            )
        return text in _TRUE

    def claim_size(self, line: int, fields: dict[str, str]) -> None:
        """A `<size>` that began at `line`; zeros, which tools write that did not look, are no claim."""
        texts = [fields.get(key, "") for key in ("height", "width")]
        sides = [_side(text) for text in texts]
        if None in sides:
            message = f"size {_short(' x '.join(reversed(texts)))} is not two whole numbers: passed over"
            self.complain(line, "malformed", message, "warning")
        elif all(sides):
            self.size = (sides[0], sides[1])


def _side(text: str) -> int | None:
    """Pixels; 0 for nothing said, None for what is no number of them."""
    try:
        value = float(text or 0)
    except ValueError:
        return None
    whole = math.isfinite(value) and value.is_integer() and 0 <= value <= _LARGEST_SIDE
    return int(value) if whole else None


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Handler(xml.sax.handler.ContentHandler):
    """Collects size and objects; an object's `<part>`s, with names and boxes of their own, are passed over.

    Prefixes of names are passed over, and so is their letter case.
    """

    def __init__(self, annotation: Annotation):
        super().__init__()
        self.annotation = annotation
        self.depth = 0
        self.inside = ["", "", ""]  # the open elements at depths 1, 2 and 3
        self.text: list[str] = []
        self.fields: dict[str, str] = {}
        self.line = 0
        self.objects = 0
        self.stray = 0  # the line of the first box or object that is not where they belong

    def setDocumentLocator(self, locator):
        self.locator = locator

    def startElement(self, name, attrs):
        name = _plain(name)
        self.depth += 1
        if self.depth <= 3:
            self.inside[self.depth - 1] = name
        self.text = []
        if self.depth == 1 and name != "annotation":
            message = f"the root is <{_short(name)}>, not <annotation>: no annotation of Pascal VOC"
            self.annotation.complain(self.locator.getLineNumber(), "unreadable-label", message)
        elif self.depth == 2 and name in ("object", "size"):
            self.fields, self.line = {}, self.locator.getLineNumber()
            self.objects += name == "object"
        elif name in ("object", "bndbox") and self.inside[1] != "object":
            self.stray = self.stray or self.locator.getLineNumber()

    def characters(self, content):
        self.text.append(content)

    def endElement(self, name):
        name, text = _plain(name), "".join(self.text).strip()
        self.text = []
        if self.depth == 2 and name == "object":
            self.annotation.add(self.line, self.fields)
        elif self.depth == 2 and name == "size":
            self.annotation.claim_size(self.line, self.fields)
        elif self.depth == 2 and name in ("folder", "filename", "path"):
            self.annotation.image[name] = text
        elif self.inside[1] == "size" and self.depth == 3:
            self.fields[name] = text
        elif self.inside[1] == "object" and name in _FIELDS:
            in_box = self.depth == 4 and self.inside[2] == "bndbox"
            if self.depth == 3 or in_box:
                self._keep(name, text)
        self.depth -= 1

    def _keep(self, name: str, text: str) -> None:
        if self.fields.setdefault(name, text) != text:
            message = f"an object with two <{name}>: the first, {_short(self.fields[name])!r}, is taken"
            self.annotation.complain(self.line, "malformed", message, "warning")

    def endDocument(self):
        if self.stray and not self.objects:
            message = "a box, but no <object> right below the root: none is read"
            self.annotation.complain(self.stray, "malformed", message)


def _plain(name: str) -> str:
    return name.rpartition(":")[2].lower()


def parse(path: str | Path) -> Annotation:
    """Reads an annotation file; what is wrong with it lies in the result's `problems`."""
    path = Path(path)
    annotation = Annotation(path)
    try:
        content = read_bytes(path, _LARGEST_FILE)
    except UnfitFileError as error:
        annotation.complain(None, "unreadable-label", error.reason)
        return annotation
    if not content.strip():
        annotation.complain(None, "empty-file", "an empty annotation file")
        return annotation
    try:
        source = xml.sax.xmlreader.InputSource()
        source.setByteStream(io.BytesIO(xml_text(content, path).encode("utf-8", "replace")))
        source.setEncoding("utf-8")  # whatever the file declares
        defusedxml.sax.parse(source, _Handler(annotation))
    except FaultError as error:
        annotation.complain(error.fault.line, "unreadable-label", error.fault.message)
    except xml.sax.SAXParseException as error:
        annotation.complain(error.getLineNumber(), "unreadable-label", f"not XML: {error.getMessage()}")
    except defusedxml.DefusedXmlException as error:
        annotation.complain(None, "unreadable-label", f"refused XML: {' '.join(str(error).split())}")
    return annotation


def xml_text(content: bytes, path: Path) -> str:
    """The text of an XML file in the encoding it declares, or else as `kzoo.data.formats.text` decodes it.

    A declaration of UTF-16 that is itself written in bytes is not so, and is passed over: .NET writes it.

    Raises:
        FaultError: the bytes are not what is declared, or nothing is declared and they are not UTF-8.
    """
    wide = _WIDE.get(content[:2])
    declared = _DECLARATION.match(content[:1000])
    name = wide or (declared[1].decode() if declared else "utf-8")
    try:
        known = codecs.lookup(name).name.replace("-", "_")
        unfit = known in _NO_ENCODINGS or (not wide and known.startswith(("utf_8", "utf_16", "utf_32")))
        text = decode(content, path) if unfit else content.decode(known)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{content[error.start]:02x} is not {name}, which the file declares"
        raise FaultError(Fault(path, line, "not-utf8", message), "save it as UTF-8") from None
    except LookupError:
        message = f"encoding {name!r}, which the file declares, is none that is known"
        raise FaultError(Fault(path, 1, "not-utf8", message), "save it as UTF-8") from None
    # What stands before a declaration, such as an empty line, would be an error; lines stay where they are.
    return re.sub(r"^\s*<\?xml\b[^>]*\?>", lambda declaration: "\n" * declaration[0].count("\n"), text)

"""JSON and YAML of strangers: one place that parses them, in time and memory that follow from the file.

What is nested too deep, what expands, and numbers that Python does not convert are refused in one line, whatever
reader of datasets, models or run folders opens the file. Pascal VOC's XML is parsed in `kzoo.data.formats.voc.xml`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from kzoo.data.fault import Fault, FaultError
from kzoo.data.formats.text import decode, read_text, shorten

# Plain data, by libyaml, which stops at a depth; PyYAML's own takes a minute for two thousand brackets.
PLAIN = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_YAML = 2**20  # bytes of a file: each takes microseconds
_MOST_NODES = 2**20  # values of a YAML file, with each alias counted as all that it stands for
_REMEDY = "correct or remove it"
_TOO_DEEP = "not usable: lists nested too deep"


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON, or nested too deep; the message names file and line.
    """
    return _parsed_json(read_text(path), Path(path))


def parse_json(content: str | bytes, path: Path) -> Any:
    """As `read_json`, for what `path`, or a member of that archive, is known to hold."""
    return _parsed_json(decode(content, path) if isinstance(content, bytes) else content, path)


def _parsed_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fault = Fault(path, error.lineno, "malformed", f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        fault = Fault(path, None, "malformed", _TOO_DEEP)
    except ValueError as error:  # a number of more digits than Python converts
        fault = Fault(path, None, "malformed", f"not usable: {str(error).partition(';')[0]}")
    raise FaultError(fault, _REMEDY)


def read_yaml(path: str | Path, loader: type = PLAIN) -> Any:
    """What a YAML file holds.

    Args:
        path: the file, of 2**20 bytes at most.
        loader: PyYAML's class of loader, one that makes plain data alone; `PLAIN` by default.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, too large, nested too deep or expands by its aliases; the message names the line.
    """
    path = Path(path)
    text = read_text(path, MOST_YAML)
    parser = None
    try:
        parser = loader(text)
        node = parser.get_single_node()
        if node is None:
            return None
        _refuse_expansion(node)
        return parser.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = shorten(getattr(error, "problem", None) or str(error), 200)
        fault = Fault(path, mark.line + 1 if mark else None, "malformed", f"not YAML: {what}")
    except RecursionError:
        fault = Fault(path, None, "malformed", _TOO_DEEP)
    except (
        ValueError,
        TypeError,
    ) as error:  # dates that are none, numbers that nobody converts, keys that are lists
        fault = Fault(path, None, "malformed", f"not YAML: {shorten(str(error), 200)}")
    finally:
        if parser is not None:
            parser.dispose()
    raise FaultError(fault, _REMEDY)


def _refuse_expansion(root: yaml.Node) -> None:
    """Raises where aliases make more of a document than memory holds, or a value holds itself.

    The document is small for as long as nobody looks at each of its values, as a message does.
    """
    counts: dict[int, int | None] = {}  # by node: values that it stands for; None while it is being counted

    def count(node: yaml.Node) -> int:
        known = counts.get(id(node), 0)
        if known is None:
            raise yaml.MarkedYAMLError(problem="a value that holds itself", problem_mark=node.start_mark)
        if known:
            return known
        counts[id(node)] = None
        inner = () if isinstance(node, yaml.ScalarNode) else node.value
        if isinstance(node, yaml.MappingNode):
            inner = (one for pair in inner for one in pair)
        total = 1 + sum(map(count, inner))
        if total > _MOST_NODES:
            problem = f"aliases that stand for more than {_MOST_NODES} values"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        counts[id(node)] = total
        return total

    count(root)

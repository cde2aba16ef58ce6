"""What the code says of itself: docstrings, docs of arguments and help texts that are there, and say something."""

import ast
import inspect
import re
from pathlib import Path
from typing import get_args

import pytest
from every_command import every_command

import kzoo

PACKAGE = Path(kzoo.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
SHARE_WITH_DOCSTRING = 0.95
# Words that a phrase which stands by itself does not begin with: "of the model" is the end of one.
FRAGMENTS = frozenset(
    {"of", "with", "which", "likewise", "that", "its", "their", "as", "by", "from", "those", "ditto"}
)
MOST_LINES = 60  # of a function, docstring apart: a screen


def walk(tree, prefix="", public=True):
    """(dotted name, node, whether it is public) of every function and class, but for those within functions."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name, open_ = f"{prefix}{node.name}", public and not node.name.startswith("_")
            yield name, node, open_
            if isinstance(node, ast.ClassDef):
                yield from walk(node, f"{name}.", open_)


def everything():
    for path in FILES:
        for name, node, public in walk(ast.parse(path.read_text())):
            yield f"{path.relative_to(PACKAGE.parent)}:{node.lineno} {name}", node, public


def overrides(name: str) -> bool:
    """Whether a method is one that its base class documents: Keras's, or one of `Head`, `Dataset` and the like."""
    return "." in name


def entries(node) -> dict[str, str]:
    """The arguments and attributes that a docstring documents, and what it says of each."""
    docs, section, current = {}, False, None
    for line in (ast.get_docstring(node) or "").splitlines():
        if re.fullmatch(r"(Args|Attributes):", line):
            section, current = True, None
        elif section and (match := re.match(r"    \**(\w+(?:, \**\w+)*): ?(.*)", line)):
            current = match[1]
            docs[current] = match[2]
        elif section and current and (line.startswith("        ") or not line.strip()):
            docs[current] = f"{docs[current]} {line.strip()}".strip()
        elif line and not line.startswith(" "):
            section = False
    return docs


def test_public_things_have_a_docstring():
    public = [
        (name, node) for name, node, is_public in everything() if is_public and "." not in name.split()[1]
    ]
    without = [name for name, node in public if not ast.get_docstring(node)]
    assert len(without) <= (1 - SHARE_WITH_DOCSTRING) * len(public), "\n".join(without)


def test_what_is_said_of_arguments_says_something():
    empty = [
        f"{name}: {argument}: {text}"
        for name, node, _ in everything()
        for argument, text in entries(node).items()
        if len(text.split()) < 2 or re.split(r"\W+", text, maxsplit=1)[0].lower() in FRAGMENTS
    ]
    assert not empty, f"{len(empty)} that say nothing, or begin in the middle:\n" + "\n".join(empty)


def test_arguments_that_are_documented_are_there():
    wrong = []
    for name, node, _ in everything():
        if isinstance(node, ast.FunctionDef):
            own = node.args
            have = {a.arg for a in [*own.posonlyargs, *own.args, *own.kwonlyargs, own.vararg, own.kwarg] if a}
            said = {part.strip() for key in entries(node) for part in key.split(",")}
            wrong += [f"{name}: {argument}" for argument in sorted(said - have)]
            if said:
                wrong += [f"{name}: {argument} is not" for argument in sorted(have - said - {"self", "cls"})]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_no_conditional_hangs_on_another(path):
    chained = [
        f"{path}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.IfExp)
        and any(isinstance(part, ast.IfExp) for part in (node.body, node.orelse))
    ]
    assert not chained


def test_functions_fit_on_a_screen():
    long = []
    for name, node, _ in everything():
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = node.end_lineno - body[0].lineno + 1 if body else 0
            if lines > MOST_LINES:
                long.append(f"{name}: {lines} lines")
    assert not long, "\n".join(long)


def help_texts():
    """(command and parameter, help text) of every command, its arguments and its options."""
    for command, function in every_command():
        yield command, inspect.getdoc(function) or ""
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
            for about in get_args(parameter.annotation)[1:]:
                yield f"{command} {name}", about.help or ""


def test_help_texts_are_whole_phrases():
    texts = list(help_texts())
    assert len(texts) > 130
    wrong = [
        f"{place}: {text}"
        for place, text in texts
        if len(text.split()) < 3
        or re.split(r"\W+", text, maxsplit=1)[0].lower() in FRAGMENTS
        or not text[0].isupper()
        or not text.rstrip().endswith((".", ")"))
    ]
    assert not wrong, f"{len(wrong)} that are short, or begin in the middle:\n" + "\n".join(wrong)

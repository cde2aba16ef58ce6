"""The pages: each command and each block of Python is run, cut down, or says before it which files it needs.

A comment `<!-- needs FILES -->` before a block means that FILES are not there: its commands are then read by the real
option parser, and its Python is compiled and its names looked up. So is every command inside a line of text.
"""

import ast
import functools
import importlib
import inspect
import itertools
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

import kzoo
from kzoo.cli import main
from kzoo.cli.tables import LINES, TASKS, module_of
from kzoo.published import AP
from kzoo.registry import entry, list_models
from kzoo.weights.shipped import is_shipped

ROOT = Path(__file__).parents[1]
FOLDERS = ("", "kzoo/**/", "recipes/", "saved_models/", "tests/")
PAGES = sorted({path for folder in FOLDERS for path in ROOT.glob(f"{folder}*.md")})
# A page that adds files to the project, and the test that does what it says in a copy.
FOLLOWED = {"kzoo/models/README.md": "tests/models/test_add_a_family.py"}
LANGUAGES = {
    "```": False,
    "```console": False,
    "```python": True,
}  # whether it is Python; others are passed over

# What stands for anything in a command, and something that it can be.
PLACEHOLDERS = {"COMMAND": "train", "KIND": "greedy"}
PROGRAMS = ("kzoo", "python", "pytest", "pip", "ruff")
# What makes a command short; of options that are given twice the last counts.
SHORT = {
    "train": ("--epochs", "1", "--width", "0.1", "--image-size", "64", "--batch-size", "4", "--workers", "0"),
    "benchmark": ("--runs", "1"),
    "info": ("--width", "0.1"),
    "anchors": ("--image-size", "64"),
}
# And what makes a line of Python, or an argument, short.
SHORTER = (
    (r"shapes:\d+:\d+", "shapes:16:64"),
    (r"epochs=\d+", "epochs=1"),
    (r"image_size=\d+", "image_size=64"),
    (r"--pretrain classify", "--pretrain classify --pretrain-epochs 1"),
)
README_LINES = 150


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@dataclass
class Block:
    """A block of a page.

    Attributes:
        line: its first line's number in the page.
        python: whether it is Python; otherwise it is commands, one a line.
        text: what it says.
        needs: the files that are not there; "" where it can be run.
    """

    line: int
    python: bool
    text: str
    needs: str


def blocks_and_text(page: Path) -> tuple[list[Block], str]:
    """The blocks of a page, and what is left of it without them."""
    blocks, text, fence, language, needs = [], [], None, "", ""
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        if fence is not None:
            if line == "```":
                if language in LANGUAGES:
                    blocks.append(fence)
                fence = None
            else:
                fence.text += f"{line}\n"
        elif line.startswith("```"):
            language, fence, needs = line, Block(number + 1, LANGUAGES.get(line, False), "", needs), ""
        elif line.startswith("    ") and text and not text[-1].strip():
            blocks.append(Block(number, False, f"{line.strip()}\n", needs))
        elif line.startswith("    ") and blocks and lines[number - 2].startswith("    "):
            blocks[-1].text += f"{line.strip()}\n"
        else:
            text.append(line)
            if line.strip():
                match = re.fullmatch(r"<!-- needs (.+) -->", line)
                needs = match[1] if match else ""
    assert fence is None, f"{page}: a block has no end"
    return blocks, "\n".join(text)


def inline(text: str) -> list[str]:
    """The commands inside lines of text and in the cells of tables.

    A column that is headed "`COMMAND` and" has what follows that command.
    """
    prose = [line for line in text.splitlines() if not line.startswith("|")]
    commands = [code for code in codes("\n".join(prose)) if code.split()[0] in PROGRAMS]
    heads: list[str] = []
    for line in text.splitlines():
        cells = re.split(r"(?<!\\)\|", line)[1:-1] if line.startswith("|") else []
        for index, cell in enumerate(cells):
            found = codes(cell.replace(r"\|", "|"))
            commands += [code for code in found if code.split()[0] in PROGRAMS]
            if heads[index : index + 1] and heads[index] and found:
                commands.append(f"{heads[index]} {found[0]}")
        if cells and not heads:
            heads = [codes(cell)[0] if cell.strip().endswith("` and") else "" for cell in cells]
        elif not cells:
            heads = []
    return commands


def codes(text: str) -> list[str]:
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text) if code.strip()]


def commands_of(block: Block) -> list[str]:
    return [] if block.python else block.text.splitlines()


def parts_of(line: str) -> list[list[str]]:
    """The programs of a line that `&&` joins, in words, with all alternatives of `a|b`."""
    parts = []
    for part in line.split("&&"):
        words = [PLACEHOLDERS.get(word, word) for word in shlex.split(part)]
        parts += [list(choice) for choice in itertools.product(*(word.split("|") for word in words))]
    return parts


@functools.cache
def command_tree():
    return typer.main.get_command(main.app)


def check_kzoo(words: list[str]) -> None:
    command, words = command_tree(), list(words)
    while hasattr(command, "commands"):
        if not words:
            return  # `kzoo data`: a group that is spoken of
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    if words:  # without any it is spoken of, not given
        spoken_of = (
            words[0].startswith("-") and "--resume" not in words
        )  # "`kzoo evaluate --errors` has them"
        try:
            command.make_context(command.name, words)
        except main.CommandError as error:
            if not (spoken_of and type(error).__name__ == "MissingParameter"):
                pytest.fail(main.usage(error))
        except Exception as stop:
            if type(stop).__name__ != "Exit":  # of --help
                raise


def check_recipe(words: list[str]) -> None:
    """What a recipe does before `parser.parse_args()`, and that with these words."""
    source = ROOT / words[0]
    assert source.exists(), f"there is no {words[0]}"
    nodes = ast.parse(source.read_text()).body
    end = next(i for i, node in enumerate(nodes) if "parser.parse_args" in ast.unparse(node))
    names = {"__doc__": "", "__name__": source.stem}
    exec(compile(ast.Module(nodes[:end], []), source, "exec"), names)
    try:
        names["parser"].parse_args(words[1:])
    except SystemExit:
        pytest.fail(f"{words[0]} does not take {' '.join(words[1:])}")


def check_pytest(words: list[str]) -> None:
    markers = {text.split(":")[0] for text in settings()["tool"]["pytest"]["ini_options"]["markers"]}
    values = dict(itertools.pairwise(words))
    for word in words:
        assert not word.startswith("tests/") or (ROOT / word).exists(), f"there is no {word}"
    named = set(re.findall(r"\w+", values.get("-m", ""))) - {"not", "or", "and"}
    assert named <= markers
    if "-k" in values:
        files = [word for word in words if word.startswith("tests/")]
        assert all(values["-k"] in (ROOT / word).read_text() for word in files)


def check_pip(words: list[str]) -> None:
    own = [re.fullmatch(r"\.(?:\[(.+)\])?", word) for word in words]
    for match in filter(None, own):
        extras = {extra.strip() for extra in (match[1] or "").split(",")} - {""}
        assert extras <= set(settings()["project"]["optional-dependencies"])


@functools.cache
def settings() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


CHECKS = {"kzoo": check_kzoo, "python": check_recipe, "pytest": check_pytest, "pip": check_pip}


@every_page
def test_commands_are_taken(page):
    blocks, text = blocks_and_text(page)
    for line in [*itertools.chain.from_iterable(map(commands_of, blocks)), *inline(text)]:
        for program, *words in parts_of(line):
            assert program in PROGRAMS, f"{line}: what is {program}?"
            try:
                CHECKS.get(program, len)(words)
            except BaseException as error:
                error.add_note(f"{page}: {line}")
                raise


def dotted(node) -> str | None:
    """`a.b.c` as it is written."""
    if isinstance(node, ast.Name):
        return node.id
    start = dotted(node.value) if isinstance(node, ast.Attribute) else None
    return start and f"{start}.{node.attr}"


def of_kzoo(name: str):
    """What a dotted name means: "kzoo.darknet.load" the function."""
    found = kzoo
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def check_python(text: str) -> None:
    """That it can be compiled, that what it names in kzoo is there, and that functions take what they are given."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and (dotted(node) or "").startswith("kzoo."):
            of_kzoo(dotted(node))
        if isinstance(node, ast.Call) and (dotted(node.func) or "").startswith("kzoo."):
            signature = inspect.signature(of_kzoo(dotted(node.func)))
            signature.bind(*node.args, **{one.arg: one.value for one in node.keywords if one.arg})


def followed(page: Path) -> bool:
    return name_of(page) in FOLLOWED


def test_pages_that_another_test_follows():
    for page, test in FOLLOWED.items():
        if (ROOT / page).exists():
            assert Path(page).name in (ROOT / test).read_text()


@pytest.mark.parametrize("page", [page for page in PAGES if not followed(page)], ids=name_of)
def test_python_is_sound(page):
    for block in blocks_and_text(page)[0]:
        if block.python:
            try:
                check_python(block.text)
            except Exception as error:
                error.add_note(f"{page}:{block.line}")
                raise


@every_page
def test_what_is_needed_is_not_there(page):
    """Or the mark would only spare a block its run."""
    for block in blocks_and_text(page)[0]:
        needed = re.findall(r"[\w/.-]+\.(?!md\b)\w+", block.needs)
        assert not [name for name in needed if (ROOT / name).exists() or (page.parent / name).exists()]


@every_page
def test_links_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?://", target):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page}: {target}"
            if anchor:
                heads = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_folder_with_a_page_of_its_own_is_linked_from_the_first():
    first = (ROOT / "README.md").read_text()
    missing = [
        page for page in PAGES if page.parent != ROOT and f"]({page.relative_to(ROOT).parent}" not in first
    ]
    assert not [page for page in missing if page.parent.name != "saved_models"]


@pytest.mark.parametrize(
    "command, page",
    [
        ("kzoo list --markdown", "README.md"),
        *((f"kzoo list --task {task} --markdown", "kzoo/models/README.md") for task in TASKS[:-1]),
        ("kzoo list --task classify --markdown", "kzoo/backbones/README.md"),
        ("kzoo list --backbones --markdown", "kzoo/backbones/README.md"),
    ],
)
def test_the_tables_of_models_are_the_registrys(command, page, kzoo_command):
    text = (ROOT / page).read_text()
    between = re.search(rf"<!-- `{command}` -->\n\n(.*?)\n\n<!-- end of the table -->", text, re.DOTALL)
    printed = kzoo_command(*command.split()[1:])[1].strip()
    assert between[1] == printed, f"put in its place what `{command}` prints"


def test_every_model_is_of_one_line_of_families():
    entries = [entry(name) for name in list_models()]
    for one in entries:
        lines = [line for line, files in LINES.items() if module_of(one).startswith(files)]
        assert len(lines) == (one.task != "classify"), (one.name, lines)
    assert not set(AP) - {one.name for one in entries}


def test_a_published_count_stands_in_the_registry_alone():
    for page in PAGES:
        text = re.sub(r"<!-- `kzoo list .*?<!-- end of the table -->", "", page.read_text(), flags=re.DOTALL)
        assert not [name for name in list_models() if f"{entry(name).parameters:,}" in text], page


def test_the_first_page_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with what the pages call their reader's own: a dataset and a photograph."""
    import cv2

    from kzoo.data.formats.convert import write
    from kzoo.data.formats.shapes import make_splits

    folder = tmp_path_factory.mktemp("workplace")
    splits = make_splits(16, (64, 64), 0)
    write(splits, folder / "data" / "street", "voc")
    picture = splits["val"][0].image
    cv2.imwrite(str(folder / "street.jpg"), cv2.resize(picture, (200, 150)))
    (folder / "recipes").mkdir()
    return folder


@pytest.fixture(scope="module")
def runs(workplace, tmp_path_factory):
    """The runs that most pages begin with: a detector's and a segmenter's."""
    folder = tmp_path_factory.mktemp("trained") / "runs"
    small = {"epochs": 2, "width": 0.1, "image_size": 64, "batch_size": 4, "workers": 0}
    with pytest.MonkeyPatch.context() as patch:
        step_by_step(patch)
        kzoo.train("yolov3-tiny", workplace / "data" / "street", run=folder / "detect/exp", **small)
        kzoo.train("unet", "shapes:16:64", run=folder / "segment/exp", **small)
    return folder


def step_by_step(monkeypatch) -> None:
    """Models train without a graph: for a step or two, making one would take longer than the steps."""
    whole = kzoo.ZooModel.compile

    def compile(self, *arguments, **options):
        whole(self, *arguments, **{**options, "run_eagerly": True, "jit_compile": False})

    monkeypatch.setattr(kzoo.ZooModel, "compile", compile)


@pytest.fixture
def small_models(monkeypatch):
    """`kzoo.build` and `kzoo.train` make models of a tenth of the width."""
    build, train = kzoo.build, kzoo.train

    def small_build(name, /, **arguments):
        if is_shipped(arguments.get("weights", "")):  # has a width of its own
            return build(name, **arguments)
        size = {} if "weights" in arguments else {"image_size": (64, 64)}  # weights bring theirs
        return build(name, **{**arguments, **size, "width": 0.1, "depth": 0.05})

    def small_train(*arguments, **options):
        return train(*arguments, **{**options, "width": 0.1, "batch_size": 4, "workers": 0})

    step_by_step(monkeypatch)
    monkeypatch.setattr(kzoo, "build", small_build)
    monkeypatch.setattr(kzoo, "train", small_train)


def shortened(text: str) -> str:
    for long, short in SHORTER:
        text = re.sub(long, short, text)
    return text


def run_commands(line: str, kzoo_command) -> None:
    for program, *words in parts_of(shortened(line)):
        if program != "kzoo" or words == ["demo"]:
            continue
        if "--resume" in words:
            words = ["3" if word.isdigit() else word for word in words]
        else:
            words += SHORT.get(words[0], ())
        status, out, err = kzoo_command(*words)
        assert status == 0, f"{line}: {out[-500:]}{err}"


def runnable() -> list:
    """Pages with something to run, which takes half a minute each."""
    pages = [page for page in PAGES if not followed(page)]
    pages = [page for page in pages if any(not block.needs for block in blocks_and_text(page)[0])]
    return [pytest.param(page, id=name_of(page), marks=pytest.mark.slow) for page in pages]


@pytest.mark.parametrize("page", runnable())
def test_a_page_from_top_to_bottom(page, workplace, tmp_path, kzoo_command, small_models, request):
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True)
    if page.parent != ROOT:  # the first page trains what it goes on with
        shutil.copytree(request.getfixturevalue("runs"), tmp_path / "runs")
    names = {}
    for block in blocks_and_text(page)[0]:
        if block.needs:
            continue
        if block.python:
            exec(compile(shortened(block.text), f"{page}:{block.line}", "exec"), names)
        else:
            for line in commands_of(block):
                run_commands(line, kzoo_command)


@pytest.mark.slow
def test_demo_cut_down(kzoo_command, monkeypatch):
    step_by_step(monkeypatch)
    for name, value in {"TRAIN_IMAGES": 16, "VAL_IMAGES": 4, "TEST_IMAGES": 12, "EPOCHS": 1}.items():
        monkeypatch.setattr(f"kzoo.cli.demo.{name}", value)
    status, out, err = kzoo_command("demo")
    assert status == 0 and Path("runs/demo/demo.tflite").exists(), out + err


RECIPES = {
    "alternate_faster_rcnn.py": (
        *("--data", "shapes:16:64", "--epochs", "1", "--image-size", "64", "--width", "0.1"),
        *("--out", "alternate.keras"),
    ),
    "detect_bccd.py": ("--data", "data/street", "--epochs", "4", "--image-size", "64"),
    "detect_centernet.py": (
        "--data",
        "shapes:16:64",
        "--epochs",
        "1",
        "--image-size",
        "64",
        "--width",
        "0.1",
    ),
    "detect_faster_rcnn.py": (
        "--data",
        "data/street",
        "--epochs",
        "1",
        "--image-size",
        "64",
        "--width",
        "0.1",
    ),
    "detect_retinanet.py": ("--data", "data/street", "--epochs", "1", "--image-size", "64", "--width", "0.1"),
    "detect_rt_detr.py": ("--data", "shapes:16:64", "--epochs", "1", "--image-size", "64", "--burn-in", "1"),
    "detect_ssd.py": ("--data", "shapes:16:64", "--epochs", "1", "--image-size", "64", "--width", "0.1"),
    "instance_shapes.py": ("--data", "shapes:16:64", "--epochs", "1", "--image-size", "64", "--width", "0.1"),
    "proposals.py": ("--data", "data/street", "--images", "2", "--width", "64"),
    "segment_nuclei.py": ("--data", "shapes:16:64", "--epochs", "4", "--image-size", "64"),
    "segment_shapes.py": ("--images", "16", "--epochs", "1", "--image-size", "64", "--width", "0.1"),
}


def test_every_recipe_is_run():
    assert set(RECIPES) == {path.name for path in (ROOT / "recipes").glob("*.py")}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_cut_down(name, workplace, tmp_path, monkeypatch):
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True)
    step_by_step(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *RECIPES[name]])
    runpy.run_path(str(ROOT / "recipes" / name), run_name="__main__")

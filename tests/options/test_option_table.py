"""Every option of every command against wrong and right words, made from what it declares."""

import inspect
from typing import get_args

import pytest
import typer
from every_command import every_command
from wrong_values import right_words, wrong_words

from kzoo.augment.letterbox import RESIZES
from kzoo.cli import main, options
from kzoo.options import commands, exports, training

COMMAND = typer.main.get_command(main.app)
# What a command asks for at least; nothing of it is there, for nothing is looked at before the options are.
NEEDED = {
    "info": ("nothing",),
    "train": ("nothing", "--data", "nowhere"),
    "tune": ("yolov3-tiny", "--data", "nowhere"),
    "evaluate": ("nothing.keras", "--data", "nowhere"),
    "predict": ("nothing.keras", "nowhere.jpg"),
    "export": ("nothing.keras",),
    "convert": ("nothing.keras", "out.keras"),
    "compress": ("nothing.keras", "out.keras"),
    "push": ("nothing", "nowhere"),
    "serve": ("nothing.keras",),
    "benchmark": ("nothing.keras",),
    "matrix": ("nothing",),
    "anchors": ("--data", "nowhere"),
    "data check": ("nowhere",),
    "data info": ("nowhere",),
    "data convert": ("nowhere", "out", "--to", "voc"),
    "data shapes": ("out",),
    "data preview": ("nowhere",),
}


def declared_options():
    """(command, the flag it is given by, or the place of the argument, option) of all of them."""
    for command, function in every_command():
        arguments = 0
        for name, one in inspect.signature(function, eval_str=True).parameters.items():
            infos = [info for info in get_args(one.annotation) if hasattr(info, "parser")]
            option = getattr(infos[0].parser, "option", None) if infos else None
            if option is None:
                continue
            flags = infos[0].param_decls or (f"--{name.replace('_', '-')}",)
            if isinstance(infos[0], typer.models.ArgumentInfo):
                yield command, arguments, option
                arguments += 1
            else:
                yield command, flags[-1], option


ALL = list(declared_options())


def words_with(command, place, word):
    needed = list(NEEDED.get(command, ()))
    if isinstance(place, int):
        needed[place] = word
        return [*command.split(), *(["--"] * word.startswith("-")), *needed]
    if place in needed:  # the last one counts in any case
        at = needed.index(place)
        needed[at : at + 2] = []
    return [*command.split(), *needed, f"{place}={word}"]


def told(words):
    """What the command says to wrong usage."""
    with pytest.raises(main.CommandError) as caught:
        COMMAND(words, standalone_mode=False)
    assert caught.value.exit_code == 2, words
    return main.usage(caught.value)


def test_every_command_is_in_the_table():
    commands_there = {command for command, _ in every_command()}
    assert {command for command, *_ in ALL} == commands_there
    assert len(ALL) > 110 and set(NEEDED) <= commands_there


@pytest.mark.parametrize(
    ("command", "place", "option"), ALL, ids=[f"{command} {place}" for command, place, _ in ALL]
)
def test_wrong_words_are_refused_in_one_line(command, place, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for word in wrong_words(option):
        said = told(words_with(command, place, word))
        assert "\n" not in said and "give " in said, said
        assert repr(word)[:40] in said or repr(word)[1:40].split("\\")[0] in said, (word, said)
        assert isinstance(place, int) or place.lstrip("-") in said, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "place", "option"), ALL, ids=[f"{c} {p}" for c, p, _ in ALL])
def test_right_words_are_taken(command, place, option):
    for word in right_words(option):
        options.reader(option)(word)


def test_defaults_are_right():
    for command, function in every_command():
        for name, one in inspect.signature(function, eval_str=True).parameters.items():
            infos = [info for info in get_args(one.annotation) if hasattr(info, "parser")]
            option = getattr(infos[0].parser, "option", None) if infos else None
            if option is not None and one.default not in (inspect.Parameter.empty, None):
                option.check(f"{command} {name}", one.default)


def test_help_says_range_and_choices():
    for command, place, option in ALL:
        assert option.help.endswith("."), (command, place)
        if getattr(option, "range", ""):
            assert option.range in option.phrase
        for choice in getattr(option, "choices", ()):
            assert choice in option.phrase, (command, place)


def test_help_says_what_holds_where_an_option_is_left_out():
    silent = []
    for command, function in every_command():
        for name, one in inspect.signature(function, eval_str=True).parameters.items():
            for info in (info for info in get_args(one.annotation) if hasattr(info, "parser")):
                option = getattr(info.parser, "option", None)
                if option is not None and one.default is None and not option.otherwise:
                    silent.append(f"{command} {name}")
    # Left out, these ask for nothing; what they do otherwise is what their help says.
    assert set(silent) == {
        *(
            "train model",
            "train data",
            "train resume",
            "train head",
            "tune head",
            "train run",
            "export data",
            "convert cfg",
        ),
    }


def test_choices_are_those_of_the_functions():
    from kzoo.deploy import benchmark
    from kzoo.inference.segment import FLIPS
    from kzoo.ops.nms import KINDS
    from kzoo.training.config import LEARNING_RATES

    assert tuple(RESIZES) == commands.RESIZES and set(commands.SUPPRESSIONS) == set(KINDS)
    assert set(commands.FLIPS) == set(FLIPS) and tuple(benchmark.FORMS) == exports.FORMS
    assert tuple(LEARNING_RATES) == training.OPTIMIZERS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --epochs 0", "error: --epochs '0': give a whole number, 1 to 1000000\n"),
        (
            "train yolov3 --epoch 3",
            "No such option: --epoch (Possible options: --depth, --epochs, --epsilon); see kzoo train",
        ),
        ("evaluate", "Missing argument 'MODEL'; see kzoo evaluate --help"),
        ("evaluat", "Did you mean 'evaluate'"),
        ("predict a.keras b.jpg --out o --no-pictures", "--out o: nothing is written"),
        ("export a.keras --split val", "--split val: a part of no dataset"),
        ("export a.keras --out x.foo", ".foo is the suffix of no format"),
        ("export a.keras --format onnx --quantize int8", "quantize='int8' with format='onnx'"),
        ("export a.keras --format tflite --data shapes", "data='shapes': has an effect with quantize=int8"),
        ("export a.keras --format tflite --quantize int8", "--data"),
        ("export a.keras --out x.onnx --format tflite", "must end in .tflite"),
        ("convert a.keras b.keras --features", "--features goes with --cfg"),
        ("push a b --private", "private=True: has an effect with target=hf://USER/NAME alone"),
    ],
)
def test_a_whole_command_line_says_one_line(kzoo_command, tmp_path, words, said):
    status, _, err = kzoo_command(*words.split())
    assert status in (1, 2) and err.count("\n") == 1 and err.startswith("error: "), err
    assert said in err, err
    assert not list(tmp_path.iterdir())


def test_paths_that_are_empty_are_refused_by_the_functions_too(tmp_path, monkeypatch):
    import kzoo
    from kzoo import data

    monkeypatch.chdir(tmp_path)
    for function in (data.load, data.splits):
        with pytest.raises(ValueError, match="data='': give the path of a dataset"):
            function("")
    with pytest.raises(ValueError, match="model='': give the path of a model"):
        kzoo.load("")
    with pytest.raises(ValueError, match="augment: unknown preset ''"):
        from kzoo.augment.compose import transforms

        transforms("")

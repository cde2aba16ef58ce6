"""`kzoo matrix`: what every format makes of models of every family."""

from __future__ import annotations

import typer

from kzoo.cli.options import argument, parameter
from kzoo.options.exports import MATRIX


def matrix(
    names: argument(MATRIX["names"], many=True, metavar="[NAME]...") = None,
    forms: parameter(MATRIX["forms"]) = None,
    image_size: parameter(MATRIX["image_size"]) = (64, 64),
    width: parameter(MATRIX["width"]) = 0.125,
    depth: parameter(MATRIX["depth"]) = 0.1,
    page: parameter(MATRIX["page"]) = None,
):
    """Export small models in every form, and say of each how far from Keras it is, how fast and how large."""
    from kzoo.deploy.matrix import EXPORTS, cells, put, table
    from kzoo.registry import entry

    # What is wrong is said before what takes its time.
    names, rows = [entry(name).name for name in names or smallest()], {}
    if page is not None:
        put(page, rows)
    for name in names:
        model = _small(name, image_size, width, depth)
        rows[name] = {form: str(cell) for form, cell in cells(model, forms or EXPORTS)}
        if page is None:
            continue
        put(page, {name: rows[name]})
        typer.echo(name)
    if page is None:
        typer.echo(table(rows))


def smallest() -> list[str]:
    """The model with the fewest parameters of each family."""
    from kzoo.cli.tables import module_of
    from kzoo.registry import entry, list_models

    families: dict[str, str] = {}
    for one in sorted(map(entry, list_models()), key=lambda one: (one.parameters, one.name)):
        families.setdefault(module_of(one), one.name)
    return sorted(families.values())


def _small(name: str, image_size: tuple[int, int], width: float, depth: float):
    """An untrained model with drawn numbers; at its own size where it takes no smaller one."""
    import keras

    from kzoo.deploy.drawn import drawn
    from kzoo.registry import build, entry

    keras.utils.set_random_seed(0)
    settings = {"num_classes": 3, "width": width, "depth": depth}
    if entry(name).task not in ("segment", "classify"):
        settings["score_threshold"] = 0.001  # a detector that knows nothing yet is sure of nothing
    try:
        return drawn(build(name, image_size=image_size, **settings))
    except ValueError:
        return drawn(build(name, **settings))

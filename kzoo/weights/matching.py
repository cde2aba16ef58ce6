"""Which convolution of a graph without names is which of ours: by shapes, and by what each one takes and gives."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import keras

from kzoo.layers.folding import folded_network
from kzoo.model import ZooModel

# Names of convolutions whose maps something is computed from: those that are laid side by side in a row of sets.
Sources = tuple[frozenset[str], ...]
# What stands for the filters of a last convolution that counts classes.
_CLASSES = "classes"
_MOST_SIDE_BY_SIDE = 256  # rows of rows of strangers' graphs would fill the memory


@dataclass(frozen=True)
class Convolution:
    """A convolution, and where it stands among the others.

    Attributes:
        name: what it is called.
        shape: the shape of the kernel in torch's order, (filters, inputs, height, width).
        strides: pixels between neighbouring windows along both axes.
        sources: the convolutions that what goes into it comes from; none where that is the image.
    """

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    sources: Sources

    def renamed(self, names: Mapping[str, str]) -> Convolution:
        """The same convolution, and those before it, by other names."""
        sources = tuple(frozenset(names[name] for name in group) for group in self.sources)
        return Convolution(names[self.name], self.shape, self.strides, sources)


def joined(values: Iterable[Sources], in_row: bool) -> Sources:
    """Where it comes from, what an operation computes of several maps.

    Args:
        values: where each of the maps comes from.
        in_row: whether the operation lays them side by side, in which case their order counts; neighbours that come
            from the same are one.

    Raises:
        ValueError: more maps are laid side by side than a network has.
    """
    values = [value for value in values if value]
    if in_row:
        row = tuple(group for group, _ in itertools.groupby(itertools.chain(*values)))
        if len(row) > _MOST_SIDE_BY_SIDE:
            raise ValueError(f"{len(row)} maps side by side, more than {_MOST_SIDE_BY_SIDE}")
        return row
    if len(set(values)) < 2:
        return values[0] if values else ()
    return (frozenset().union(*itertools.chain(*values)),)


def own_convolutions(model: ZooModel) -> list[Convolution]:
    """The convolutions that the model has once normalisations and parallel branches are folded, by our names.

    Those of the head are called `head_...`. Of a layer that runs several times there are as many.
    """
    network = folded_network(model.network, float32=True)
    head = type(model.head).from_config(model.head.get_config())
    outputs = head.call(network.outputs)
    whole = keras.Model(network.inputs, outputs)
    inside = {id(layer) for layer in network.layers}
    sources: dict[int, Sources] = {}  # by tensor
    found = []
    for depth in sorted(whole._nodes_by_depth, reverse=True):
        for node in whole._nodes_by_depth[depth]:
            layer = node.operation
            taken = [sources.get(id(tensor), ()) for tensor in node.input_tensors]
            given = joined(taken, type(layer).__name__ == "Concatenate")
            if hasattr(layer, "kernel"):
                name = layer.name if id(layer) in inside else f"head_{layer.name}"
                shape = tuple(layer.kernel.shape)
                order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)
                shape = tuple(shape[axis] for axis in order) if len(shape) == 4 else shape[::-1]
                found.append(Convolution(name, shape, tuple(getattr(layer, "strides", (1, 1))), given))
                given = (frozenset([name]),)
            sources |= {id(tensor): given for tensor in node.output_tensors}
    return found


def matched(
    theirs: Sequence[Convolution], ours: Sequence[Convolution], counting: Iterable[str] = ()
) -> dict[str, str]:
    """Their names of our convolutions, by ours.

    Two are the same if no other has such a kernel and takes from, and gives to, such convolutions as are the same in
    their turn. Names that both graphs have count as well.

    Args:
        theirs: the convolutions of a file.
        ours: the convolutions of a model.
        counting: names of ours that have a filter for every class, of which the file may have other numbers.

    Raises:
        ValueError: the graphs differ, or convolutions cannot be told apart; the message says which.
    """
    for graph in (theirs, ours):
        twice = [name for name, times in Counter(each.name for each in graph).items() if times > 1]
        if twice:
            raise ValueError(f"{twice[0]} runs several times, by which convolutions are not known")
    common = {each.name for each in theirs} & {each.name for each in ours}
    exact = [{each.name: _label(each, common) for each in graph} for graph in (theirs, ours)]
    counting = set(counting)
    if not counting or Counter(exact[0].values()) == Counter(exact[1].values()):
        return _pairs(theirs, ours, *exact)
    return _pairs(theirs, ours, *_regardless_of_classes(theirs, ours, common, counting))


def _label(one: Convolution, common: set[str], filters: int | str | None = None) -> tuple:
    """What a convolution is by itself."""
    first = one.shape[0] if filters is None else filters
    return (first, *one.shape[1:]), one.strides, one.name if one.name in common else None


def _regardless_of_classes(
    theirs: Sequence[Convolution], ours: Sequence[Convolution], common: set[str], counting: set[str]
) -> list[dict[str, tuple]]:
    """Labels in which last convolutions with a filter for every class are alike, however many classes there are.

    In a file these are the last ones that have not as many filters as one of our last ones that do not count classes.
    """
    fixed = {each.shape[0] for each in _last(ours) if each.name not in counting}
    of_classes = {each.name for each in _last(theirs) if each.shape[0] not in fixed}
    return [
        {each.name: _label(each, common, _CLASSES if each.name in names else None) for each in graph}
        for graph, names in ((theirs, of_classes), (ours, counting))
    ]


def _last(graph: Sequence[Convolution]) -> list[Convolution]:
    """The convolutions that no other takes anything from."""
    taken = {name for each in graph for group in each.sources for name in group}
    return [each for each in graph if each.name not in taken]


def _pairs(
    theirs: Sequence[Convolution],
    ours: Sequence[Convolution],
    their_labels: Mapping[str, tuple],
    our_labels: Mapping[str, tuple],
) -> dict[str, str]:
    more, fewer = (
        Counter(a.values()) - Counter(b.values())
        for a, b in ((their_labels, our_labels), (our_labels, their_labels))
    )
    if more or fewer:
        raise ValueError(
            f"{len(theirs)} convolutions, the model has {len(ours)}; "
            + " and ".join(
                f"{whose} {count.total()} that the other has not, of shapes {_shapes(count)}"
                for whose, count in (("the file has", more), ("the model has", fewer))
                if count
            )
        )
    their_colours, our_colours = _colours((theirs, ours), (their_labels, our_labels))
    if Counter(their_colours.values()) != Counter(our_colours.values()):
        raise ValueError("its convolutions have the model's shapes, but take and give otherwise")
    alike = [colour for colour, count in Counter(our_colours.values()).items() if count > 1]
    if alike:
        names = [name for name, colour in our_colours.items() if colour == alike[0]]
        raise ValueError(f"{' and '.join(names)} cannot be told apart without names")
    by_colour = {colour: name for name, colour in their_colours.items()}
    return {name: by_colour[colour] for name, colour in our_colours.items()}


def _shapes(count: Counter, most: int = 3) -> str:
    shapes = list(dict.fromkeys(str(label[0]).replace("'", "") for label in count))
    return ", ".join(shapes[:most]) + (" and others" if len(shapes) > most else "")


def _colours(
    graphs: Sequence[Sequence[Convolution]], labels: Sequence[Mapping[str, tuple]]
) -> list[dict[str, int]]:
    """Numbers that are equal for convolutions, of either graph, that nothing tells apart.

    Each round takes in the numbers of neighbours, until that makes no more of them.

    Source: Weisfeiler and Leman 1968, "The reduction of a graph to canonical form".
    """
    takers = [_takers(graph) for graph in graphs]
    colours, number = _numbered([dict(each) for each in labels])
    while True:
        seen = [
            {
                each.name: (
                    known[each.name],
                    tuple(tuple(sorted(known[name] for name in group)) for group in each.sources),
                    tuple(sorted((known[name], place) for name, place in given[each.name])),
                )
                for each in graph
            }
            for graph, known, given in zip(graphs, colours, takers, strict=True)
        ]
        colours, before = _numbered(seen)[0], number
        number = len({colour for each in colours for colour in each.values()})
        if number == before:
            return colours


def _numbered(marks: Sequence[Mapping[str, tuple]]) -> tuple[list[dict[str, int]], int]:
    """Numbers in the place of marks, equal ones for equal marks; and how many there are."""
    numbers: dict[tuple, int] = {}
    colours = [
        {name: numbers.setdefault(mark, len(numbers)) for name, mark in each.items()} for each in marks
    ]
    return colours, len(numbers)


def _takers(graph: Sequence[Convolution]) -> dict[str, list[tuple[str, int]]]:
    """By name of a convolution those that take from it, and at which place of what they take."""
    takers = {each.name: [] for each in graph}
    for each in graph:
        for place, group in enumerate(each.sources):
            for name in group:
                takers[name].append((each.name, place))
    return takers

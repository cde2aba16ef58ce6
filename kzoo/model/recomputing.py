"""Gradient checkpointing: a network's stretches keep what goes in, and compute the rest again for their gradients."""

from __future__ import annotations

import math

import keras
from keras import ops, tree


class Recomputed:
    """Runs a network in stretches, of which the maps in between are not kept for the gradient.

    N layers make sqrt(N) stretches, so that what is kept between stretches and what is computed again within one are
    about as much. A stretch changes nothing itself: what its layers count (statistics, how far chance has got) comes
    out of it and is written once, though the stretch runs twice. So gradients, statistics and what dropout leaves out
    are those of the network itself.

    Args:
        network: a functional model.

    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost, arXiv:1604.06174.

    Example:
        >>> maps = Recomputed(model.network)(images)
    """

    def __init__(self, network: keras.Model):
        depths = sorted(network._nodes_by_depth, reverse=True)
        nodes = [node for depth in depths for node in network._nodes_by_depth[depth] if not node.is_input]
        length = max(1, math.isqrt(len(nodes)))
        self.network = network
        self.stretches = [nodes[first : first + length] for first in range(0, len(nodes), length)]

    def __call__(self, inputs) -> list:
        """The network's feature maps (B, H, W, C) in training, as a list.

        Args:
            inputs: images (B, H, W, 3), or what the network takes by name.
        """
        given = self.network._standardize_inputs(inputs)
        known = {id(one): ops.cast(x, "float32") for one, x in zip(self.network.inputs, given, strict=True)}
        for number, stretch in enumerate(self.stretches):
            known = self._run(stretch, known, self._needed_after(number))
        return [known[id(output)] for output in self.network.outputs]

    def _needed_after(self, number: int) -> set[int]:
        """Which tensors later stretches, or whoever asks for the network's outputs, look at."""
        later = [
            one for stretch in self.stretches[number + 1 :] for node in stretch for one in node.input_tensors
        ]
        return {id(one) for one in (*later, *self.network.outputs)}

    def _run(self, stretch: list, known: dict, needed: set[int]) -> dict:
        """The tensors that are needed after a stretch, by their places in the graph."""
        layers = dict.fromkeys(node.operation for node in stretch if isinstance(node.operation, keras.Layer))
        trained = _distinct(variable for layer in layers for variable in layer.trainable_variables)
        counted = _distinct(variable for layer in layers for variable in layer.non_trainable_variables)
        made = [id(one) for node in stretch for one in node.outputs if id(one) in needed]
        taken = list(
            dict.fromkeys(id(one) for node in stretch for one in node.input_tensors if id(one) in known)
        )
        # Copied: when the stretch runs again, the variables themselves have moved on.
        before = [(variable, ops.copy(variable)) for variable in counted]

        def run(*values):
            tensors = dict(zip(taken, values, strict=False))
            mapping = [*zip(trained, values[len(taken) :], strict=True), *before]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                for node in stretch:
                    _compute(node, tensors)
                after = [ops.convert_to_tensor(scope.get_current_value(variable)) for variable in counted]
            return [tensors[one] for one in made], after

        values = [ops.copy(variable) for variable in trained]
        outputs, after = keras.remat(run)(*(known[one] for one in taken), *values)
        for variable, value in zip(counted, after, strict=True):
            variable.assign(value)
        kept = {one: tensor for one, tensor in known.items() if one in needed}
        return {**kept, **dict(zip(made, outputs, strict=True))}


def _compute(node, tensors: dict) -> None:
    """Adds what a node of the graph gives to the tensors, by their places in it."""
    arguments, options = node.arguments.fill_in({key: tensors[key] for key in map(id, node.input_tensors)})
    if "training" in getattr(node.operation, "_call_context_args", {}):
        options["training"] = True
    outputs = tree.flatten(node.operation(*arguments, **options))
    tensors.update(zip(map(id, node.outputs), outputs, strict=True))


def _distinct(variables) -> list[keras.Variable]:
    return list({id(variable): variable for variable in variables}.values())

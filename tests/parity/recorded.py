"""What the recorded numbers of keypoint detectors were made from: arrays drawn by name, and state dicts by a rule."""

import importlib.util
import json
import zlib

import numpy as np

SIDE = 64  # cells of the maps


def generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def drawn(name: str, shape) -> np.ndarray:
    return generator(name).standard_normal(shape)


def channels_last(maps) -> np.ndarray:
    return np.ascontiguousarray(np.transpose(maps, (0, 2, 3, 1)), np.float32)


def arrays_of(folder, file: str) -> dict:
    with np.load(folder / f"{file}.npz") as arrays:
        return {key: arrays[key] for key in arrays}


def rule_of(folder):
    """The module that draws weights and images."""
    spec = importlib.util.spec_from_file_location("dk_rule", folder.parent / "dk_rule.py")
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    return rule


def write_weights(folder, file: str, path) -> None:
    """The state dict of a recorded network, at `path`."""
    from safetensors.numpy import save_file

    known, rule = json.loads((folder / f"{file}.json").read_text()), rule_of(folder)
    values = {
        key: rule.value(key, shape, known["weight_gain"], known["special"].get(key))
        for key, shape in known["tensors"]
    }
    save_file(values, path)

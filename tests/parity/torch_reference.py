"""torchvision beside a torch without CUDA, and its networks with weights that keep numbers of order one."""

import importlib.util
import re
import shutil
import sys

import numpy as np
import pytest


def torchvision(shared, kernels=False):
    """The module, or a skipped test.

    Its own compiled operators need a C compiler; without one Python's take their place, which pool regions otherwise
    where they hang out of the image.

    Args:
        kernels: whether nothing but the compiled ones will do.
    """
    for name in ("torch", "torchvision"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; pip install -e '.[parity]'")
    folder, compiler = shared / "parity", shutil.which("cc")
    if kernels and compiler is None:
        pytest.skip("no C compiler, which torchvision's own operators need: apt install gcc")
    stand_in = "torchvision_kernels" if compiler else "torchvision_cpu"
    if not (folder / f"{stand_in}.py").is_file():
        pytest.skip(f"{stand_in}.py is not at hand; set KZOO_SHARED to the folder that holds parity/")
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module(stand_in)
    finally:
        sys.path.remove(str(folder))
    return importlib.import_module("torchvision")


def lived_in(network, seed=0, side=96):
    """A network whose batch normalisation has statistics of what goes through it, and scales of its own.

    What ends a residual branch is scaled down, so that the sum of many stays of order one.
    """
    import torch

    torch.manual_seed(seed)
    norms = {name: m for name, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    bottlenecks = any(name.endswith("bn3") for name in norms)
    for name, norm in norms.items():
        norm.momentum = 1.0
        scale = 0.25 if name.endswith("bn3" if bottlenecks else "bn2") else 1.0
        torch.nn.init.uniform_(norm.weight, 0.6 * scale, 1.2 * scale)
        torch.nn.init.normal_(norm.bias, 0, 0.2 * scale)
    network.train()
    with torch.no_grad():
        network(torch.randn(4, 3, side, side))
        for norm in norms.values():
            norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.25)
    return network.eval()


def settled(network, ends, side=128, seed=0):
    """As `lived_in`, of deep networks of depthwise convolutions, whose statistics of few places would blow numbers up.

    Args:
        ends: pattern of the names of the normalisations that end a residual branch.
    """
    import torch

    torch.manual_seed(seed)
    norms = {name: m for name, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight)
        if name in norms:
            scale = 0.25 if re.search(ends, name) else 1.0
            torch.nn.init.uniform_(module.weight, 0.6 * scale, 1.2 * scale)
            torch.nn.init.normal_(module.bias, 0, 0.2 * scale)
            module.momentum = 1.0
    network.eval()
    for norm in norms.values():
        norm.train()
    with torch.no_grad():
        network(as_torch(photographs(side, side, 4, seed=1)))
        for norm in norms.values():
            norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
            norm.running_var.clamp_(min=norm.running_var.median().item() / 2)
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.8, 1.25)
        for name, factors in network.named_parameters():
            if name.endswith(("layer_scale", "gamma")):
                factors.uniform_(0.1, 0.4)
    return network.eval()


def photographs(height, width, count=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def as_torch(images):
    """Images as torchvision's networks expect them."""
    import torch

    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    pixels = (images.astype("float32") / 255 - mean) / deviation
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

"""kzoo: a detection and segmentation model zoo for Keras 3.

Names are imported when they are first used, so `import kzoo` loads neither Keras nor TensorFlow.
"""

import importlib
import pkgutil

from kzoo.registration import register
from kzoo.system.lazy import submodules

__version__ = "0.1.0"

_EXPORTS = {
    "Detections": "kzoo.structures",
    "Sample": "kzoo.structures",
    "ZooModel": "kzoo.model",
    "build": "kzoo.registry",
    "compress": "kzoo.model.compression",
    "evaluate": "kzoo.evaluation",
    "export": "kzoo.deploy",
    "list_models": "kzoo.registry",
    "load": "kzoo.weights.opening",
    "push": "kzoo.sharing.pushing",
    "track": "kzoo.inference.tracking",
    "train": "kzoo.training",
    "with_nms": "kzoo.inference.detect",
}
_MODULES = tuple(module.name for module in pkgutil.iter_modules(__path__))
_submodule = submodules(__name__, __path__)
__all__ = ["__version__", *sorted(_EXPORTS)]


def __getattr__(name: str):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
        globals()[name] = value
        return value
    return _submodule(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS, *_MODULES])


register()

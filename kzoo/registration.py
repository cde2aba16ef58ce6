"""kzoo's classes made known to Keras by name, so that `keras.models.load_model` finds them, without importing Keras."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from types import ModuleType

_PACKAGE = "kzoo"
# What is decorated with `register_keras_serializable`, by module.
CLASSES = {
    "kzoo.heads.anchor": ("AnchorHead",),
    "kzoo.heads.anchor_detr": ("AnchorDETRHead",),
    "kzoo.heads.auxiliary_yolo": ("AuxiliaryYoloHead",),
    "kzoo.heads.center": ("CenterHead",),
    "kzoo.heads.classify": ("ClassifyHead",),
    "kzoo.heads.corner": ("CornerHead",),
    "kzoo.heads.conditional_detr": ("ConditionalDETRHead",),
    "kzoo.heads.d_fine": ("DFineHead",),
    "kzoo.heads.dab_deformable_detr": ("DABDeformableDETRHead",),
    "kzoo.heads.dab_detr": ("DABDETRHead",),
    "kzoo.heads.deformable_detr": ("DeformableDETRHead",),
    "kzoo.heads.detr": ("DETRHead",),
    "kzoo.heads.dino": ("DINOHead",),
    "kzoo.heads.dn_detr": ("DNDETRHead",),
    "kzoo.heads.drive": ("DriveHead",),
    "kzoo.heads.extreme": ("ExtremeHead",),
    "kzoo.heads.fast_rcnn": ("FastRCNNHead",),
    "kzoo.heads.fcos": ("FCOSHead",),
    "kzoo.heads.features": ("FeatureHead",),
    "kzoo.heads.gaussian": ("GaussianYoloHead",),
    "kzoo.heads.grid": ("GridHead",),
    "kzoo.heads.iou_net": ("IoUNetHead",),
    "kzoo.heads.mask_rcnn": ("MaskRCNNHead",),
    "kzoo.heads.pixel": ("PixelHead",),
    "kzoo.heads.points": ("PointHead",),
    "kzoo.heads.rcnn": ("RCNNHead",),
    "kzoo.heads.region": ("RegionHead",),
    "kzoo.heads.saccade": ("SaccadeHead",),
    "kzoo.heads.rt_detr": ("RTDETRHead",),
    "kzoo.heads.smca_detr": ("SMCADETRHead",),
    "kzoo.heads.svm": ("SVMHead",),
    "kzoo.heads.triplet": ("TripletHead",),
    "kzoo.heads.yolo": ("YoloHead",),
    "kzoo.layers.activations": ("hard_mish", "loggy", "ramp", "rounded_selu", "tanh_gelu"),
    "kzoo.layers.aspp": ("SpreadLike",),
    "kzoo.layers.attention": ("SpatialAttention",),
    "kzoo.layers.bilinear": ("BilinearKernel",),
    "kzoo.layers.channel_scale": ("ChannelScale", "LearntAffine", "LearntScale"),
    "kzoo.layers.context": ("IdentityKernel",),
    "kzoo.layers.corner_pooling": ("CornerPooling",),
    "kzoo.layers.darknet_maps": ("ChannelGroup", "First", "Luma", "Reorg", "Shortcut", "UnitLength"),
    "kzoo.layers.darknet_windows": ("Convolution", "LocallyConnected", "Pool"),
    "kzoo.layers.focus": ("Focus",),
    "kzoo.layers.deformable": ("DeformableConv2D",),
    "kzoo.layers.deformable_encoder": ("DeformableEncoder",),
    "kzoo.layers.fpn": ("CropLike",),
    "kzoo.layers.l2norm": ("L2Normalization",),
    "kzoo.layers.normalization": ("CrossMiniBatchNormalization", "FusedBatchNormalization"),
    "kzoo.layers.psa": ("CellAttention",),
    "kzoo.layers.padding": ("MirrorPadding2D",),
    "kzoo.layers.regularization": ("DropBlock",),
    "kzoo.layers.repvgg": ("RepConv",),
    "kzoo.layers.resizing": ("Enlarge",),
    "kzoo.layers.upsampling": ("Spread",),
    "kzoo.layers.unet": ("Grey",),
    "kzoo.layers.transformer": ("Encoder",),
    "kzoo.model.zoo_model": ("ZooModel",),
    "kzoo.training.rates": ("AdamW", "LossScale", "SGD"),
    "kzoo.training.schedules": ("BurnIn", "DarknetSchedule"),
}  # fmt: skip


def register() -> None:
    """Puts a stand-in for each class where Keras looks names up: now, or as soon as Keras is imported.

    Importing kzoo imports no Keras, and Keras imports nobody else's classes to read a file. A stand-in imports the
    class when a file asks for it, which then takes its place.
    """
    if "keras" in sys.modules and hasattr(sys.modules["keras"], "saving"):
        _register(sys.modules["keras"])
    elif not any(isinstance(finder, _OnImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OnImport())


def _register(keras: ModuleType) -> None:
    known = keras.saving.get_custom_objects()
    for module, names in CLASSES.items():
        for name in names:
            if f"{_PACKAGE}>{name}" not in known:
                stand_in = _function if name[0].islower() else _class
                keras.saving.register_keras_serializable(_PACKAGE, name)(stand_in(module, name))


def _class(module: str, name: str) -> type:
    """A stand-in for a class: all that Keras asks of it is `from_config`."""

    def from_config(_, config):
        return getattr(importlib.import_module(module), name).from_config(config)

    def get_config(self):
        raise NotImplementedError(f"{name} stands in for {module}.{name}, and has no objects")

    methods = {"from_config": classmethod(from_config), "get_config": get_config}
    return type(name, (), {**methods, "__module__": module})


def _function(module: str, name: str):
    """A stand-in for a function."""

    def function(*arguments, **options):
        return getattr(importlib.import_module(module), name)(*arguments, **options)

    function.__name__ = name
    return function


class _OnImport(importlib.abc.MetaPathFinder):
    """Leaves the import of Keras to whoever does it, and registers when that is done."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                _register(module)

            spec.loader.exec_module = exec_module
        return spec

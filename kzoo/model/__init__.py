"""The one model class, and what is asked of networks before one is made of them and after."""

from kzoo.model.decoded_model import DecodedModel
from kzoo.model.networks import BACKBONE, backbone_layers, check_arguments, flops, images_input
from kzoo.model.zoo_model import ZooModel

__all__ = [
    "BACKBONE",
    "DecodedModel",
    "ZooModel",
    "backbone_layers",
    "check_arguments",
    "flops",
    "images_input",
]

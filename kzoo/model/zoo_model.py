"""The one model class: a network that sees images, and a head that knows what its outputs mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from kzoo.augment.letterbox import check_resize
from kzoo.heads import Head
from kzoo.model.checked_model import CheckedModel, looked_at
from kzoo.model.decoded_model import DecodedModel
from kzoo.model.networks import input_specs
from kzoo.model.recomputing import Recomputed
from kzoo.model.replicas import gathered, replica_count
from kzoo.model.streams import is_dataset
from kzoo.policy import check_settings, dtype_policy
from kzoo.proposals import Proposer
from kzoo.structures.images import check_images, images_of
from kzoo.structures.targets import check_keys
from kzoo.system.messages import check_names


@keras.saving.register_keras_serializable("kzoo")
class ZooModel(CheckedModel):
    """A trainable model that predicts results rather than raw numbers.

    Images (B, H, W, 3) go through the network to feature maps, and through the head to raw outputs. The head computes
    the loss from those and the targets, and decodes them to results. Where the head needs proposals, boxes (B, P, 4)
    in which objects may be, the network takes `{"images": ..., "proposals": ...}`; those of images alone are searched
    for before anything is predicted.

    Args:
        network: a functional model from images (B, H, W, 3) in 0..255 to a list of feature maps, with the
            normalisation inside.
        head: the layer that knows the family: feature maps to raw outputs, loss and decoding.
        image_size: height and width in pixels that `detect`, `evaluate` and exports use.
        names: class names, in the order of the labels; none by default.
        resize: how photographs become its input: one of `kzoo.augment.RESIZES`, "letterbox" by default.
        origin: what `kzoo.darknet` keeps of the files it read the model from, to write it back; None for others.
        **kwargs: arguments of every Keras model: `name`, `dtype` and `trainable`.

    Attributes:
        checkpoint_gradients: whether training keeps few of the network's maps and computes the others again for the
            gradients: less memory, a longer step. False at first; set it before `fit`. It is not saved.

    Example:
        >>> model = kzoo.build("yolov3-tiny", num_classes=3)
        >>> model.compile(keras.optimizers.AdamW(1e-3))   # the loss is the head's own
        >>> model.fit(batches)
        >>> model.predict(images)["boxes"]                # (B, M, 4) xyxy pixels
    """

    def __init__(
        self,
        network: keras.Model,
        head: Head,
        image_size: Sequence[int],
        names: Sequence[str] | None = None,
        resize: str = "letterbox",
        origin: dict | None = None,
        **kwargs,
    ):
        check_settings()
        super().__init__(**kwargs)
        self.network = network
        self.head = head
        self.image_size = tuple(int(v) for v in image_size)
        self.names = list(names or ())
        check_names([self.name, *self.names], "names")
        self.resize = check_resize(resize)
        self.origin = origin
        self.checkpoint_gradients = False
        # Half precision would round the edges of boxes, and casts images in the network anyway.
        self.autocast = self.autocast and not head.needs_proposals
        self._proposer: Proposer | None = None
        self.loss_means = {name: keras.metrics.Mean(name=f"{name}_loss") for name in head.loss_names}
        self.build()

    @property
    def task(self) -> str:
        """ "detect", "segment", "instance", "drive" or "classify"."""
        return self.head.task

    @property
    def truth(self) -> str:
        """The kind of targets that it is trained on: its task's, or what its head says beyond that."""
        return self.head.truth or self.task

    @property
    def multiple(self) -> int:
        """Pixels that height and width of the input have to be multiples of."""
        return getattr(self.head, "multiple", None) or max(getattr(self.head, "strides", (1,)))

    def check_size(self, image_size: Sequence[int]) -> tuple[int, int]:
        """Height and width in pixels, if the network takes images of them.

        Raises:
            ValueError: they are no multiples of what they have to be, or so small that no cell is left of a map.
        """
        height, width = (int(side) for side in image_size)
        multiple, what = self.multiple, f"image_size={tuple(image_size)}"
        if min(height, width) < multiple or height % multiple or width % multiple:
            raise ValueError(f"{what}: height and width must be multiples of {multiple} for {self.name}")
        try:
            self.network.compute_output_spec(input_specs(self.network, height, width))
        except ValueError:
            raise ValueError(
                f"{what}: {self.name} takes no images of this size; its own is {self.image_size}"
            ) from None
        return height, width

    def build(self, input_shape=None):
        if not self.head.built:
            self.head.build([feature.shape for feature in self.network.outputs])
        self.built = True

    def features(self, inputs, training=None) -> list:
        """The network's feature maps (B, H / stride, W / stride, C), as a list also where there is one alone."""
        if training and self.checkpoint_gradients:
            return Recomputed(self.network)(inputs)
        maps = self.network(inputs, training=training)
        return list(maps) if isinstance(maps, (list, tuple)) else [maps]

    def call(self, inputs, training=None):
        return self.head(self.features(inputs, training), training=training)

    @property
    def proposer(self) -> Proposer:
        """What finds proposals where nobody gives any, of a head that needs them."""
        if self._proposer is None:
            self._proposer = Proposer(**self.head.searching())
        return self._proposer

    def with_proposals(self, x):
        """What the network takes, of images alone: the same, or by name with the proposals that are found on each.

        Args:
            x: images (B, H, W, 3) in 0..255; what has proposals already, and datasets, are given back.

        Raises:
            ValueError: these are no images in 0..255.
        """
        if not self.head.needs_proposals or isinstance(x, Mapping) or is_dataset(x):
            return x
        images = ops.convert_to_numpy(x) if ops.is_tensor(x) else np.asarray(x)
        check_images(images)
        return {"images": images, "proposals": self.proposer.batch(images)}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        check_settings()
        check_keys(self.truth, y)
        devices = replica_count()
        if devices > 1 and not self.head.loss_by_device:
            y, y_pred, sample_weight = gathered((y, y_pred, sample_weight))
        if sample_weight is None:
            losses = self.head.loss(y, y_pred)
        else:
            # Of arrays Keras hands on one for each target, all the same: (B,), or (B, 1).
            weight = ops.cast(keras.tree.flatten(sample_weight)[0], "float32")
            losses = self.head.loss(y, y_pred, ops.reshape(weight, (-1,)))
        # Scalars by name; batches of several sizes count in the means by their images.
        count = ops.shape(keras.tree.flatten(y)[0])[0]
        for name, value in losses.items():
            self.loss_means[name].update_state(value, sample_weight=count)
        # Gradients of all devices are added up.
        return (sum(losses.values()) + sum(self.losses)) / devices

    def decoder(self, sides: tuple[int, ...] = ()) -> DecodedModel:
        """A model from images to decoded results, which `predict` runs and exports hold.

        Args:
            sides: height and width of the images in pixels, and the number of proposals where there are such; or
                nothing (default) where they are not known.

        There is one for each size. TensorFlow traces a model that sees a second size again for any size, and then the
        number of boxes, which selections need, is not known.
        """
        check_settings()
        # Keras takes models among the attributes for layers, to be saved and counted with this one, also those in a
        # dictionary; and this one is a layer of each of them. It does not look into a function, so one keeps them.
        if "_decoders_by_sides" not in self.__dict__:
            kept: dict[tuple[int, ...], DecodedModel] = {}
            self.__dict__["_decoders_by_sides"] = lambda: kept
        decoders = self.__dict__["_decoders_by_sides"]()
        if sides not in decoders:
            decoders[sides] = DecodedModel(self)
        return decoders[sides]

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None) -> dict:
        """Decoded results for images, as NumPy arrays.

        Args:
            x: images (B, H, W, 3) RGB in 0..255, or images and proposals by name, or a dataset of batches.
            batch_size: images a step, 1 or more; 32 where None. Datasets have their own.
            verbose: what is printed: "auto" (default), 0 nothing, 1 a bar of progress, 2 a line.
            steps: number of batches that are taken, which a dataset that never ends needs; all where None.
            callbacks: a list of `keras.callbacks.Callback`; None for none.

        Returns:
            For a detector `boxes` (B, M, 4) xyxy pixels of the input, `scores` (B, M) best first, and `labels`
            (B, M), -1 where there is no detection; of roads also `drivable` and `lanes` (B, H, W), 0 or 1; for a
            segmenter `mask` (B, H, W) and `probabilities` (B, H, W, classes); for a classifier `scores` (B, classes)
            and `label` (B,).

        Raises:
            ValueError: these are no images in 0..255.
        """
        look = self._look(targets=False)
        x, *_ = looked_at(look, self.with_proposals(x))
        with look.unwrapped():
            return self.decoder(_sides(x)).predict(x, batch_size, verbose, steps, callbacks)

    def predict_on_batch(self, x) -> dict:
        """Decoded results for one batch of images, as NumPy arrays; `predict` without its bookkeeping."""
        x, *_ = looked_at(self._look(targets=False), self.with_proposals(x))
        return self.decoder(_sides(x)).predict_on_batch(x)

    def detect(self, source, **arguments):
        """Finds objects in a photograph: see `kzoo.inference.detect.detect`."""
        from kzoo.inference.detect import detect

        return detect(self, source, **arguments)

    def track(self, source, **arguments):
        """Finds the objects of a video, and which are the same: see `kzoo.inference.tracking.track`."""
        from kzoo.inference.tracking import track

        return track(self, source, **arguments)

    def segment(self, source, **arguments):
        """The class of every pixel of a photograph of any size: see `kzoo.inference.segment.segment`."""
        from kzoo.inference.segment import segment

        return segment(self, source, **arguments)

    def remade(self, network: keras.Model, head: Head) -> ZooModel:
        """A model of another network and head; size, names, resizing, origin and name are this one's."""
        return ZooModel(
            network,
            head,
            self.image_size,
            self.names,
            self.resize,
            self.origin,
            name=self.name,
            dtype=head.dtype_policy,
        )

    def get_config(self):
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "head": keras.saving.serialize_keras_object(self.head),
            "image_size": list(self.image_size),
            "names": list(self.names),
            "resize": self.resize,
            "origin": self.origin,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        check_settings()
        # A functional model does not keep its own policy; it takes the one that is set.
        with dtype_policy(config["dtype"]):
            network_and_head = {
                key: keras.saving.deserialize_keras_object(config[key], custom_objects)
                for key in ("network", "head")
            }
            return cls(**{**config, **network_and_head, "dtype": None})


def _sides(inputs) -> tuple[int, ...]:
    """Height and width of images (B, H, W, 3), and how many proposals there are beside them; nothing of datasets."""
    sides = tuple(getattr(images_of(inputs), "shape", ())[1:3])
    return (*sides, inputs["proposals"].shape[1]) if isinstance(inputs, Mapping) else sides

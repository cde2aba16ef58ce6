"""A program that trains on several devices or machines, as other tests start it: `DEVICES MODEL RUN`.

TensorFlow's devices are virtual CPUs; how many machines there are TF_CONFIG says, how many devices JAX has XLA_FLAGS.
"""

import sys

import keras

from kzoo.data.formats.shapes import Shapes


def virtual_cpus(count: int) -> None:
    """Splits the processor; before anything is computed."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)


def main(devices: int, name: str, run: str) -> None:
    """Twenty steps of four images of 64 pixels, whose gradients are clipped."""
    if devices > 1 and keras.backend.backend() == "tensorflow":
        virtual_cpus(devices)
    import kzoo

    options = {"image_size": 64, "width": 0.1, "batch_size": 4, "epochs": 4, "augment": "none", "workers": 0}
    shapes = Shapes(20, (64, 64)), Shapes(4, (64, 64), split="val")
    kzoo.train(name, *shapes, run=run, devices=devices, clip_norm=0.5, precision="float32", **options)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])

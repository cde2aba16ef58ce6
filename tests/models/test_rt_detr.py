"""RT-DETR, Deformable DETR, DINO and D-FINE: what only they promise."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import small

import kzoo

SMALL = {"num_classes": 3, "image_size": (64, 64), "width": 0.25, "depth": 0.05}
LAYERED = ("rt-detr-r18", "d-fine-n", "dino-r50", "deformable-detr-r50-two-stage")


def build(name, **arguments):
    keras.utils.set_random_seed(0)
    return kzoo.build(name, **{**SMALL, **small(name), **arguments})


def pictures(count=2, side=64):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8).astype("float32")


def truth(boxes=((8, 8, 40, 40),)):
    return {"boxes": np.float32([boxes, boxes]), "labels": np.zeros((2, len(boxes)), "int32")}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("rt-detr-r18", {"points": [4, 4]}, r"points=\[4, 4\]: 2 numbers for 3 maps"),
        ("rt-detr-r18", {"method": "cubic"}, "method='cubic'"),
        ("rt-detr-r18", {"variant": "r20"}, "variant='r20'"),
        ("rt-detr-r18", {"decoder_layers": 9}, "decoder_layers=9: there are decoder_depth=1"),
        ("deformable-detr-r50", {"two_stage": True}, "two_stage=True: .*give refine=True, too"),
        ("d-fine-n", {"variant": "xl"}, "variant='xl'"),
    ],
)
def test_what_does_not_fit_is_refused(name, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        build(name, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_without_denoising_there_are_no_terms_of_it():
    names = build("rt-detr-r18").head.loss_names
    assert {"class", "dn_box", "encoder_giou"} <= set(names)
    assert not [name for name in build("rt-detr-r18", denoising=0).head.loss_names if name.startswith("dn_")]


@pytest.mark.long
def test_fewer_layers_in_inference():
    """All layers tell the same whether later ones run or not."""
    whole = build("rt-detr-r18", depth=1.0, decoder_layers=2)
    head = whole.head
    assert (head.decoder_depth, head.decoder_layers) == (3, 2)
    images = pictures()
    memory = head.memory(whole.features(images, training=False))
    _, boxes = head.run(head.start(memory, False), memory, None, False, 3, every=True)
    given = ops.convert_to_numpy(whole(images, training=False)["box"])
    np.testing.assert_allclose(given, ops.convert_to_numpy(boxes[1]), atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["rt-detr-r18", *(pytest.param(name, marks=pytest.mark.slow) for name in LAYERED[1:])]
)
def test_padding_of_targets_changes_nothing(name):
    """Objects beside which nothing is, and the same beside padding, give the same loss; so do spoilt queries."""
    model = build(name, dropout=0.0)
    outputs = model(pictures(), training=True)
    losses = []
    for padding in (0, 3):
        boxes = np.pad(truth()["boxes"], [(0, 0), (0, padding), (0, 0)])
        labels = np.pad(truth()["labels"], [(0, 0), (0, padding)], constant_values=-1)
        if hasattr(model.head, "seed_generator"):
            model.head.seed_generator.state.assign(np.uint32([0, 1]))
        losses.append(
            {
                key: float(value)
                for key, value in model.head.loss({"boxes": boxes, "labels": labels}, outputs).items()
            }
        )
    assert set(losses[0]) == set(model.head.loss_names)
    for key in losses[0]:
        np.testing.assert_allclose(losses[1][key], losses[0][key], rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["rt-detr-r18", *(pytest.param(name, marks=pytest.mark.slow) for name in LAYERED[1:])]
)
def test_more_objects_than_queries(name):
    """Queries that all have an object, and objects without one, leave every term finite."""
    model = build(name, queries=2)
    corners = [(8 * i, 4 * i, 8 * i + 20, 4 * i + 16) for i in range(5)]
    losses = model.head.loss(truth(corners), model(pictures(), training=True))
    assert set(losses) == set(model.head.loss_names)
    assert all(np.isfinite(float(value)) for value in losses.values())
    assert float(losses["box"]) > 0


def test_the_choice_passes_no_gradient_to_the_cells():
    """Queries' classes and boxes train the cells they look at, and not the layers that chose them."""
    import tensorflow as tf

    model = build("rt-detr-r18", denoising=0)
    outputs = model(pictures(), training=True)
    with tf.GradientTape() as tape:
        losses = model.head.loss(truth(), outputs)
        own = losses["class"] + losses["box"] + losses["giou"]
    assert tape.gradient(own, model.head.encoder_box.layers[-1].kernel) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["detr-r50", "rt-detr-r18"])
def test_half_precision_stays_finite_for_200_steps(name):
    """Losses of every step, and what was learnt: matching and logarithms are in float32."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(name, width=0.125)
        model.compile(keras.optimizers.AdamW(1e-3, clipnorm=0.1), jit_compile=False)
        x, y, losses = pictures(), truth([(8, 8, 40, 40), (30, 20, 60, 50)]), []
        each = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: losses.append(logs["loss"]))
        model.fit(x, y, batch_size=2, epochs=200, verbose=0, callbacks=[each])
        found = model.predict(x, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert len(losses) == 200 and np.isfinite(losses).all()
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert all(np.isfinite(ops.convert_to_numpy(weight)).all() for weight in model.weights)
    assert all(np.isfinite(values).all() for values in found.values())


@pytest.mark.long
def test_other_maps_than_published():
    """Points may differ by map, the nearest cell may stand for four, and any backbone may be below."""
    model = build("rt-detr-r18", points=[1, 2, 3], method="discrete", backbone="mobilenetv2")
    assert np.isfinite(ops.convert_to_numpy(model(pictures(), training=False)["box"])).all()

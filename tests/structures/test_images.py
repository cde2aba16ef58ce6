"""Images that are none: refused in one line, before they are taken for a black picture."""

import numpy as np
import pytest

from kzoo.structures.images import check_images

UINT8 = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), np.uint8)
FLOATS = UINT8.astype(np.float32)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (FLOATS / 255, "do not divide by 255"),
        ((FLOATS / 255).astype(np.float16), "do not divide by 255"),
        (FLOATS / 127.5 - 1, "neither normalised nor less a mean"),
        (FLOATS - 120, "neither normalised nor less a mean"),
        (UINT8.astype(np.int32) - 128, "neither normalised"),
        (UINT8.astype(np.uint16) * 257, "divide 16 bits by 257"),
        (FLOATS * 2, "clip to 0..255"),
        (np.where(FLOATS > 250, np.nan, FLOATS), "NaN or infinite"),
        (np.where(FLOATS > 250, np.inf, FLOATS), "NaN or infinite"),
        (FLOATS.transpose(0, 3, 1, 2), "np.transpose(images, (0, 2, 3, 1))"),
        (FLOATS[..., 0], "np.repeat(images[..., None], 3, axis=-1)"),
        (FLOATS[..., :1], "np.repeat(images, 3, axis=-1)"),
        (UINT8[0], "images[None]"),
        (UINT8[0].transpose(2, 0, 1), "np.transpose(images, (1, 2, 0))[None]"),
        (UINT8[0, ..., 0], "np.stack(images)"),
        (np.concatenate([UINT8, UINT8[..., :1]], axis=-1), "images[..., :3]"),
        (UINT8 > 100, "type bool"),
        (UINT8.astype(object), "type object"),
        (FLOATS.astype(complex), "type complex128"),
    ],
)
def test_what_is_no_batch_of_images_is_refused_in_a_line(images, words):
    with pytest.raises(ValueError) as caught:
        check_images(images)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "images",
    [
        UINT8, FLOATS, UINT8.astype(np.int64), UINT8.astype(np.uint16), FLOATS.astype(np.float16),
        UINT8 // 200, np.zeros_like(FLOATS), FLOATS * 1.001, UINT8[:0],
    ],
)  # fmt: skip
def test_images_in_0_to_255_are_taken(images):
    check_images(images)

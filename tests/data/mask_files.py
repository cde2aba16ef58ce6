"""Small images with masks of random blocks, written as files that tests of several folders read."""

import numpy as np
from PIL import Image

SIZE = (24, 40)  # height, width
CITY = ((128, 64, 128), (70, 70, 70), (0, 0, 142))  # the colours of road, building and car in Cityscapes


def numbers(seed: int, values=(0, 1, 2, 255), size=SIZE) -> np.ndarray:
    """A mask of blocks of the values, each of which it has."""
    rng = np.random.default_rng(seed)
    small = rng.choice(values, (size[0] // 4, size[1] // 4))
    small.flat[: len(values)] = values
    return small.repeat(4, 0).repeat(4, 1).astype(np.uint8)


def write_image(path, size=SIZE, seed=0):
    """Writes noise, and returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def write_palette(path, mask, palette=None, bits=8, **options):
    """Writes a mask as the indices of a palette: of random colours, unless it is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask, "P") if palette is None else Image.fromarray(mask).convert("P")
    picture.frombytes(mask.tobytes())
    colours = np.random.default_rng(5).integers(0, 256, 3 * 2**bits) if palette is None else palette
    picture.putpalette(bytes(np.asarray(colours, np.uint8)))
    picture.save(path, bits=bits, **options)


def write_pair(root, name, mask, kind="grey", images="images", masks="masks", ending=""):
    """Writes an image of noise, and its mask in another folder as grey levels, palette indices or colours."""
    write_image(root / images / f"{name}.png", mask.shape, seed=len(name))
    path = root / masks / f"{name}{ending}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "palette":
        write_palette(path, mask)
    elif kind == "colour":
        table = np.zeros((256, 3), np.uint8)
        table[: len(CITY)] = CITY
        table[255] = (1, 2, 3)
        Image.fromarray(table[mask]).save(path)
    else:
        Image.fromarray(mask).save(path)


def write_instances(root, name, masks, size=SIZE):
    """Writes a folder for an image and its objects' masks, a file each, as the Data Science Bowl 2018 has them."""
    write_image(root / name / "images" / f"{name}.png", size)
    for number, mask in enumerate(masks):
        path = root / name / "masks" / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def squares():
    """The masks of three objects."""
    masks = np.zeros((3, *SIZE), bool)
    masks[0, 2:10, 3:9] = masks[1, 8:15, 5:20] = masks[2, 20:24, 39:40] = True  # the first two overlap
    return masks

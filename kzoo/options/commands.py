"""Options of the commands besides `kzoo train`, and of the functions behind them."""

from __future__ import annotations

from kzoo.options.building import DEPTH, NUM_CLASSES, RANKS, WIDTH
from kzoo.options.forms import AUGMENT
from kzoo.options.kinds import Flag, Option, Special
from kzoo.options.quantities import Number, Size, Sizes, Whole
from kzoo.options.ray import LOOKING
from kzoo.options.tracking import TRACKING
from kzoo.options.words import Names, Place, Text, Word

# `kzoo.augment.RESIZES`, which would take OpenCV to import: help comes at once.
RESIZES = (
    *("letterbox", "stretch", "darknet", "darknet-letterbox"),
    *("letterbox-black", "letterbox-mean", "corner", "corner-black", "corner-mean", "stretch-cubic"),
)
SUPPRESSIONS = (
    *("greedy", "diou", "soft-linear", "soft-gaussian", "softer"),
    *("matrix", "matrix-linear", "weighted"),
)
METHODS, FLIPS = ("resize", "window"), ("horizontal", "vertical")
LOOKS = (*METHODS, "saccade")
LAYOUTS = ("voc", "yolo", "coco")

MODEL = Place(
    help="The trained model: a .keras file, a run folder, hf://USER/NAME, a Darknet .cfg, an export (.tflite, .onnx, "
    ".openvino, SavedModel), or cards, cells or nuclei, which come with kzoo.",
    what="a model",
    others=True,
)
DATASET = Place(
    help="The path of a dataset with boxes for a detector or masks for a segmenter, or shapes, which are drawn.",
    what="a dataset",
    others=True,
)
SEED = Whole(help="Seed of all that is drawn at random.", least=0, most=2**32 - 1)
SPLIT = Text(help="The part of the dataset to take, such as test.", none=True)
BATCH = Whole(help="Number of images that the model gets at once.", unit="images", least=1, most=4096)
OUT = Place(help="The file or folder that results are written to.", none=True, path=True)
DARKNET_WEIGHTS = Place(
    help="The .weights file to a Darknet .cfg.",
    otherwise="the one of the same name beside the .cfg",
    what="a .weights file",
    none=True,
    path=True,
)
CLASS_NAMES = Text(
    help="Names of the classes: a .names or .data file, or coco or voc.",
    otherwise="the model's own",
    none=True,
)
SIDE = Size(help="Size of the network's input.", otherwise="the model's own", none=True)
RESIZE = Word(
    help="How photographs are brought to the size of the network's input.",
    otherwise="the model's own way",
    choices=RESIZES,
    none=True,
)
NMS = Word(
    help="How boxes that overlap are suppressed; weighted fuses them.",
    otherwise="the model's own way",
    choices=SUPPRESSIONS,
    none=True,
    task="detect",
)
METHOD = Word(
    help="How an image goes through the network; resized to its input, or in windows of that size.",
    otherwise="resize",
    choices=METHODS,
    none=True,
    task="segment",
)
OVERLAP = Whole(
    help="Overlap of neighbouring windows in pixels.",
    otherwise="a quarter of a window",
    unit="pixels",
    least=0,
    most=16384,
    none=True,
    task="segment",
    needs={"method": ("window",)},
)
MIRRORED = Names(
    help="Mirror images whose results are averaged with the image's own.",
    otherwise="none",
    choices=FLIPS,
    none=True,
    task="segment",
)
SIZES = Sizes(
    help="Sizes of the network's input whose results are averaged; joined by commas.",
    otherwise="the model's own alone",
    none=True,
    task="detect",
    needs={"method": ("resize",)},
)
BITS = Whole(
    help="Number of bits that 16-bit images use; 12 where the brightest level is 4095.",
    otherwise="all 16",
    unit="bits",
    least=8,
    most=16,
    none=True,
)
SCORE = Number(
    help="Score below which detections are left out.",
    otherwise="0.25",
    least=0,
    most=1,
    none=True,
    task="detect",
)

# What looks at photographs has all of these.
INFERENCE: dict[str, Option] = {
    "batch_size": BATCH,
    "resize": RESIZE.but(needs={"method": ("resize",)}),
    "nms": NMS,
    "method": METHOD,
    "overlap": OVERLAP,
    "flips": MIRRORED,
    "bits": BITS,
}
EVALUATE: dict[str, Option] = {
    **INFERENCE,
    "model": MODEL,
    "data": DATASET,
    "split": SPLIT.but(
        help="The part of the dataset to evaluate on, such as test.",
        otherwise="val, or else test; all images where there are no parts",
    ),
    "out": OUT.but(what="a folder"),
    "image_size": SIDE.but(task="detect"),
    "score_threshold": SCORE.but(otherwise="0.001"),
    "limit": Whole(
        help="Number of images to evaluate on, the first ones of the dataset.",
        otherwise="all",
        unit="images",
        least=1,
        most=10**9,
        none=True,
    ),
    "rectangular": Flag(
        help="Make batches of images of the same shape, with as little padding as the stride allows.",
        task="detect",
    ),
    "errors": Flag(
        help="Sort what is wrong into kinds, such as duplicates and misses, and say what mAP50 each costs.",
        task="detect",
    ),
    "skip_faulty": Flag(help="Leave out the images and boxes that `kzoo data check` finds errors in."),
}
PREDICT: dict[str, Option] = {
    **INFERENCE,
    # Detectors look in windows and at mirror images, too, but their evaluation does not.
    "method": METHOD.but(
        help="How an image goes through the network; resized to its input, in windows of that size, or with a second "
        "look at what a detector attends to (saccade).",
        choices=LOOKS,
        task="",
    ),
    "overlap": OVERLAP.but(task=""),
    "flips": MIRRORED.but(task="", needs={"method": METHODS}),
    "sizes": SIZES,
    "model": MODEL,
    "out": OUT.but(
        help="The folder that results are written to.",
        otherwise="runs/predict/NAME, after the source",
        what="a folder",
    ),
    "score_threshold": SCORE,
    "ray": LOOKING,
    **TRACKING,
}
COMPRESS: dict[str, Option] = {
    "model": MODEL.but(help="The model to compress: a .keras file, a run folder or hf://USER/NAME."),
    "out": Place(help="The .keras file to write.", path=True),
    "ranks": RANKS.but(
        help="For each dense layer the units between its two halves, joined by commas; 0 leaves it whole.",
        otherwise="by --shares",
        reads=lambda text: [int(one) for one in text.split(",")],
    ),
    "shares": Special(
        help="The same as shares of the lesser side of each layer's matrix, one for all or one each.",
        otherwise="0.25,0.0625",
        reads=lambda text: [float(one) for one in text.split(",")],
        takes=lambda value: [Number(above=0, most=1).sound(one) for one in value],
        form="numbers above 0 to 1, joined by commas",
        none=True,
    ),
}
ANCHORS: dict[str, Option] = {
    "data": DATASET,
    "k": Whole(help="Number of anchors to find.", unit="anchors", least=1, most=1000),
    "image_size": Size(help="Size of the network's input, in whose pixels the anchors are."),
    "split": SPLIT.but(
        help="The part of the dataset whose boxes are clustered, such as train.", otherwise="all of it"
    ),
    "seed": SEED.but(help="Seed of the boxes that the clustering starts from."),
}
SHAPES: dict[str, Option] = {
    "count": Whole(
        help="Number of images to train on; val and test get a quarter as many each.",
        unit="images",
        least=1,
        most=1_000_000,
    ),
    "image_size": Size(help="Size of the images.", least=32, most=4096),
    "seed": SEED.but(help="Seed of the drawings; another one gives other images."),
}
PREVIEW: dict[str, Option] = {
    "augment": AUGMENT.but(help="The transforms to show, each in a row of its own.", none=True),
    "seed": SEED.but(help="Seed of the choice of images and of what the transforms draw."),
    "images": Whole(help="Number of pictures in a row.", unit="pictures", least=1, most=256),
    "image_size": Size(help="Size of the network's input that the images are prepared for."),
    "resize": RESIZE.but(
        help="How photographs are brought to the size of the network's input.", otherwise="", none=False
    ),
    "width": Whole(help="Width of the sheet in pixels.", unit="pixels", least=16, most=16384),
}
CONVERT: dict[str, Option] = {
    "cfg": Place(
        help="The Darknet .cfg file to read, in the place of MODEL.", what="a .cfg file", none=True, path=True
    ),
    "stop_at": Whole(
        help="Number of layers to read, or to write to .weights, as for a pretrained backbone.",
        otherwise="all",
        unit="layers",
        least=1,
        most=1_000_000,
        none=True,
    ),
}
INFO: dict[str, Option] = {
    "num_classes": NUM_CLASSES.but(otherwise="as published", none=True),
    "image_size": Size(help="Size of the network's input.", otherwise="as published", none=True),
    "width": WIDTH,
    "depth": DEPTH,
}
TASK = Word(
    help="The task of the models to list.",
    otherwise="all",
    choices=("detect", "segment", "instance", "drive", "classify"),
    none=True,
)
DATA_TASK = Word(
    help="The task that the dataset is read for; boxes, semantic masks, boxes with the mask of each object, or with "
    "what is drivable.",
    otherwise="what its format is for",
    choices=("detect", "segment", "instance", "drive"),
    none=True,
)
LAYOUT = Word(help="The format of the dataset to write.", choices=LAYOUTS)

"""Options of the commands besides `kzoo train`, and of the functions behind them."""

from __future__ import annotations

from kzoo.options.building import DEPTH, NUM_CLASSES, WIDTH
from kzoo.options.forms import AUGMENT
from kzoo.options.kinds import Component, Flag, Names, Number, Option, Place, Size, Text, Whole, Word

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
FORMATS, QUANTIZED = ("saved_model", "tflite", "onnx"), ("float16", "int8")
FORMS = ("keras", "saved_model", "tflite", "tflite-float16", "tflite-int8", "onnx")
LAYOUTS = ("voc", "yolo", "coco")

MODEL = Place(
    help="A .keras file, a run folder, a Darknet .cfg, or an export: .tflite, .onnx, SavedModel.",
    what="a model",
    others=True,
)
DATASET = Place(help="A dataset: boxes for a detector, masks for a segmenter.", what="a dataset", others=True)
SEED = Whole(help="Of what is drawn at random.", least=0, most=2**32 - 1)
SPLIT = Text(help="The part of the dataset, such as test.", none=True)
TRAIN_BATCH = Whole(help="Images a step.", unit="images", least=1, most=65536)
BATCH = Whole(help="Images at once.", unit="images", least=1, most=4096)
OUT = Place(help="Where results are written.", none=True, path=True)
DARKNET_WEIGHTS = Place(
    help="Of a .cfg: its .weights; those of its name beside it where left out.",
    what="a .weights file",
    none=True,
    path=True,
)
CLASS_NAMES = Text(help="Class names: a .names or .data file, coco or voc.", none=True)
SIDE = Size(help="Of the network's input; the model's own where left out.", none=True)
RESIZE = Word(
    help="How photographs become inputs; the model's own way where left out.", choices=RESIZES, none=True
)
NMS = Word(
    help="Suppression of boxes on one another; weighted is boxes fusion; the model's own where left out.",
    choices=SUPPRESSIONS,
    none=True,
    task="detect",
)
METHOD = Word(
    help="Whole images at the input's size, or tiles at their own; resize where left out.",
    choices=METHODS,
    none=True,
    task="segment",
)
OVERLAP = Whole(
    help="Of tiles; a quarter of them where left out.",
    unit="pixels",
    least=0,
    most=16384,
    none=True,
    task="segment",
    needs={"method": ("window",)},
)
MIRRORED = Names(help="Average over mirror images, too.", choices=FLIPS, none=True, task="segment")
BITS = Whole(
    help="How many bits of 16-bit images are in use: 12 where levels go to 4095; all where left out.",
    unit="bits",
    least=8,
    most=16,
    none=True,
)
SCORE = Number(
    help="Leave out what scores lower; 0.25 where left out.", least=0, most=1, none=True, task="detect"
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
    "split": SPLIT.but(help="The part of it; val, or else test, or all without parts, where left out."),
    "out": OUT.but(what="a folder"),
    "image_size": SIDE.but(task="detect"),
    "score_threshold": Number(least=0, most=1, none=True, task="detect"),
    "limit": Whole(help="The first so many images only.", unit="images", least=1, most=10**9, none=True),
    "rectangular": Flag(help="Batches of images of one shape, with little grey around.", task="detect"),
    "errors": Flag(help="What is wrong, by kind, and the mAP50 it costs.", task="detect"),
    "skip_faulty": Flag(help="Leave out what `data check` objects to."),
}
PREDICT: dict[str, Option] = {
    **INFERENCE,
    "model": MODEL,
    "out": OUT.but(
        help="The folder for results; runs/predict/NAME of the source where left out.", what="a folder"
    ),
    "score_threshold": SCORE,
}
EXPORT: dict[str, Option] = {
    "model": MODEL,
    "path": OUT,
    "format": Word(
        help="Of what is written; by the suffix of --out where left out.", choices=FORMATS, none=True
    ),
    "quantize": Word(help="Of TFLite: half the size, or a quarter and faster.", choices=QUANTIZED, none=True),
    "data": DATASET.but(
        help="The dataset that int8 is calibrated with.", none=True, needs={"quantize": ("int8",)}
    ),
    "split": SPLIT.but(help="The part of that dataset; all where left out."),
    "image_size": SIDE,
    "batch_size": BATCH.but(help="Images at once; any number where left out, 1 for TFLite.", none=True),
    "name": Component(none=True),
    "resize": RESIZE,
    "nms": NMS,
}
BENCHMARK: dict[str, Option] = {
    "model": MODEL,
    "image_size": SIDE,
    "forms": Names(help="The forms to time, joined by commas.", choices=FORMS, least=1),
    "runs": Whole(help="Of every form, taken in turn.", unit="runs", least=1, most=1_000_000),
    "threads": Whole(
        help="Cores each form may use; all where left out.", unit="cores", least=1, most=1024, none=True
    ),
}
ANCHORS: dict[str, Option] = {
    "data": DATASET,
    "k": Whole(help="How many.", unit="anchors", least=1, most=1000),
    "image_size": Size(help="Of the network's input."),
    "split": SPLIT.but(help="The part of the dataset; all where left out."),
    "seed": SEED.but(help="Of the clustering's starting points."),
}
SHAPES: dict[str, Option] = {
    "count": Whole(
        help="How many to train on; val and test get a quarter each.", unit="images", least=1, most=1_000_000
    ),
    "image_size": Size(help="Of the images.", least=32, most=4096),
    "seed": SEED.but(help="Another one gives other images."),
}
PREVIEW: dict[str, Option] = {
    "augment": AUGMENT.but(help="What is shown.", none=True),
    "seed": SEED.but(help="Another one gives other pictures and other changes."),
    "images": Whole(help="Pictures in a row.", unit="pictures", least=1, most=256),
    "image_size": Size(help="Of the input that they are made for."),
    "resize": RESIZE.but(help="How photographs become inputs: as for the model.", none=False),
    "width": Whole(help="Of the sheet.", unit="pixels", least=16, most=16384),
}
CONVERT: dict[str, Option] = {
    "cfg": Place(help="Darknet's .cfg to read.", what="a .cfg file", none=True, path=True),
    "stop_at": Whole(
        help="Read, or write to .weights, only the layers before this one: a pretrained backbone.",
        least=1,
        most=1_000_000,
        none=True,
    ),
}
INFO: dict[str, Option] = {
    "num_classes": NUM_CLASSES.but(help="Of the model; as published where left out.", none=True),
    "image_size": Size(help="Of the input; as published where left out.", none=True),
    "width": WIDTH,
    "depth": DEPTH,
}
TASK = Word(help="Which models.", choices=("detect", "segment", "instance", "classify"), none=True)
DATA_TASK = Word(
    help="Boxes, or semantic masks; what the format is for where left out.",
    choices=("detect", "segment"),
    none=True,
)
LAYOUT = Word(help="The format to write.", choices=LAYOUTS)

"""Options of the commands that write and time exports, and what exports there are."""

from __future__ import annotations

from kzoo.options.building import DEPTH, WIDTH
from kzoo.options.commands import BATCH, DATASET, MODEL, NMS, OUT, RESIZE, SIDE, SPLIT, SUPPRESSIONS
from kzoo.options.kinds import Option, Special
from kzoo.options.quantities import Size, Whole
from kzoo.options.words import Component, Names, Place, Text, Word

# Format of an export -> how the names of its files end, or of its folders.
SUFFIXES = {"saved_model": "", "tflite": ".tflite", "onnx": ".onnx", "openvino": ".openvino"}
FORMATS, EXPORT_SUFFIXES = tuple(SUFFIXES), tuple(filter(None, SUFFIXES.values()))
# The formats that can be written in other numbers than float32, and in which.
NUMBERS = {"tflite": ("float16", "int8"), "openvino": ("float16", "bfloat16", "int8")}
QUANTIZED = tuple(dict.fromkeys(kind for kinds in NUMBERS.values() for kind in kinds))
FORMS = (
    *("keras", "saved_model", "tflite", "tflite-float16", "tflite-int8", "onnx"),
    *("openvino", "openvino-float16", "openvino-bfloat16", "openvino-int8"),
)

EXPORT: dict[str, Option] = {
    "model": MODEL,
    "path": OUT,
    "format": Word(
        help="The format to write.",
        otherwise="by the suffix of --out; saved_model for none",
        choices=FORMATS,
        none=True,
    ),
    "quantize": Word(
        help="Numbers that TFLite and OpenVINO keep the weights in; float16 is half the size, int8 a quarter and "
        "faster; bfloat16 is OpenVINO's alone, which computes in them.",
        otherwise="float32",
        choices=QUANTIZED,
        none=True,
    ),
    "data": DATASET.but(
        help="The dataset whose images show int8 the ranges of numbers (calibration).",
        none=True,
        needs={"quantize": ("int8",)},
    ),
    "split": SPLIT.but(help="The part of that dataset to take, such as train.", otherwise="all of it"),
    "image_size": SIDE,
    "batch_size": Special(
        help="Number of images that the export takes at once; dynamic is any.",
        otherwise="dynamic; 1 for TFLite",
        reads=lambda text: text if text == "dynamic" else BATCH.parse(text),
        takes=lambda value: value if isinstance(value, str) and value == "dynamic" else BATCH.sound(value),
        form=f"{BATCH.wanted}, or dynamic",
        none=True,
    ),
    "name": Component(none=True),
    "resize": RESIZE,
    "nms": NMS.but(
        help="How boxes that overlap are suppressed; weighted fuses them, none leaves it to whoever opens the file, "
        "onnx to ONNX's own operator.",
        choices=(*SUPPRESSIONS, "none", "onnx"),
    ),
    "opset": Whole(
        help="Version of the operators of an ONNX file.", otherwise="17", least=13, most=18, none=True
    ),
}
BENCHMARK: dict[str, Option] = {
    "model": MODEL,
    "image_size": SIDE,
    "forms": Names(help="The forms to time.", otherwise="all in float32 and int8", choices=FORMS, least=1),
    "runs": Whole(
        help="Number of times that each form is run, taking turns.", unit="runs", least=1, most=1_000_000
    ),
    "threads": Whole(
        help="Number of processor cores that each form may use.",
        otherwise="all",
        unit="cores",
        least=1,
        most=1024,
        none=True,
    ),
}
MATRIX: dict[str, Option] = {
    "names": Text(
        help="The models, by names that `kzoo list` shows.",
        otherwise="the smallest of each family",
        none=True,
    ),
    "forms": BENCHMARK["forms"].but(
        help="The forms to write.", otherwise="all", choices=FORMS[1:], none=True
    ),
    "image_size": Size(help="Size of the networks' input; what takes none so small has its own."),
    "width": WIDTH,
    "depth": DEPTH,
    "page": Place(
        help="The Markdown page whose table gets the rows.",
        otherwise="printed",
        what="a page",
        none=True,
        path=True,
    ),
}

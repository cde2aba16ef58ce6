"""Opening exported files, each in the runtime of its format."""

from __future__ import annotations

import threading
from pathlib import Path

from kzoo.deploy.metadata import FILE_NAME, Metadata
from kzoo.deploy.runtime import Exported, cores
from kzoo.options.exports import SUFFIXES
from kzoo.system.quiet import native_output_hidden

OPENVINO_FILE = "model.xml"  # beside which its weights lie as `model.bin`


class TFLiteFile(Exported):
    """A `.tflite` file, run by ai-edge-litert, or by TensorFlow's own interpreter where that is missing.

    Its interpreter has one set of tensors and kills the process when two threads run it at once, so calls wait for
    each other. Threads that are to run side by side open the file once each.
    """

    format = "tflite"

    def __init__(self, path: Path, threads: int | None = None):
        from kzoo.deploy.tflite_metadata import read_metadata

        super().__init__(path, read_metadata(path))
        interpreter, self.runtime = _interpreter()
        with native_output_hidden():
            self._interpreter = interpreter(str(path), num_threads=threads or cores())
            self._interpreter.allocate_tensors()
        self._signature = self._interpreter.get_signature_runner("serving_default")
        self._lock = threading.Lock()

    def run(self, **inputs):
        with self._lock:
            return self._signature(**inputs)


def _interpreter() -> tuple[type, str]:
    """The class of TFLite's interpreter that is installed, with its name and version."""
    try:
        import importlib.metadata

        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
    except ImportError:
        pass
    try:
        import tensorflow as tf

        return tf.lite.Interpreter, f"tensorflow {tf.__version__}"
    except (ImportError, AttributeError) as error:
        raise ImportError("running TFLite needs its runtime: pip install 'kzoo[tflite]'") from error


class OnnxFile(Exported):
    """An `.onnx` file, run by onnxruntime."""

    format = "onnx"

    def __init__(self, path: Path, threads: int | None = None):
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError("running ONNX needs its runtime: pip install 'kzoo[onnx]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=_providers(onnxruntime))
        except Exception as error:  # its exceptions share no base but this one
            raise ValueError(f"{path}: onnxruntime cannot read it: {str(error).splitlines()[0]}") from error
        properties = self._session.get_modelmeta().custom_metadata_map
        if FILE_NAME not in properties:
            raise ValueError(
                f"{path}: holds no description by kzoo; write it with `kzoo export MODEL --format onnx`"
            )
        super().__init__(path, Metadata.from_json(properties[FILE_NAME], path))
        self.runtime = f"onnxruntime {onnxruntime.__version__}"
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, **inputs):
        values = self._session.run(self._outputs, inputs)
        return dict(zip(self._outputs, values, strict=True))


def _providers(onnxruntime) -> list[str]:
    """CUDA where the installed onnxruntime has it, and the CPU."""
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    return [provider for provider in wanted if provider in onnxruntime.get_available_providers()]


class OpenvinoFolder(Exported):
    """A folder with a model in OpenVINO's own form, run by it on the processor.

    Its compiled model has one set of tensors, so calls wait for each other; what is to run side by side is opened once
    each.
    """

    format, is_folder = "openvino", True

    def __init__(self, path: Path, threads: int | None = None):
        super().__init__(path, Metadata.stored(path, path, "openvino"))
        openvino = openvino_package()
        # On processors that have them, it computes in shorter floats unless told.
        numbers = "bf16" if self.metadata.quantize == "bfloat16" else "f32"
        settings = {"INFERENCE_PRECISION_HINT": numbers, "INFERENCE_NUM_THREADS": threads or cores()}
        try:
            self._compiled = openvino.Core().compile_model(path / OPENVINO_FILE, "CPU", settings)
        except Exception as error:  # whatever it says of a damaged file, it is pages
            raise ValueError(f"{path}: OpenVINO cannot read it: {_last_line(error)}") from error
        self.runtime = f"openvino {openvino.__version__.partition('-')[0]}"
        self._lock = threading.Lock()

    def run(self, **inputs):
        with self._lock:
            found = self._compiled(inputs, share_inputs=True)
            return {output.get_any_name(): found[output] for output in self._compiled.outputs}


def openvino_package():
    """The package `openvino`; an ImportError with what to install where it is missing."""
    try:
        import openvino
    except ImportError as error:
        raise ImportError("OpenVINO needs its package: pip install 'kzoo[onnx,openvino]'") from error
    return openvino


def is_openvino(path: Path) -> bool:
    """Whether a folder is an export to OpenVINO."""
    return (path / OPENVINO_FILE).is_file()


def _last_line(error: Exception) -> str:
    """What an error says at last, which is what it is about."""
    return [line.strip() for line in str(error).splitlines() if line.strip()][-1]


class SavedModelFolder(Exported):
    """A SavedModel folder, run by TensorFlow."""

    format, is_folder = "saved_model", True

    def __init__(self, path: Path, threads: int | None = None):
        from kzoo.deploy.saved_model import read_metadata

        super().__init__(path, read_metadata(path))
        import tensorflow as tf

        if threads is not None and threads != tf.config.threading.get_intra_op_parallelism_threads():
            try:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
            except RuntimeError as error:
                raise ValueError(
                    f"{path}: threads={threads} comes too late, TensorFlow is running; open it first"
                ) from error
        self._loaded = tf.saved_model.load(str(path))
        self._signature = self._loaded.signatures["serving_default"]
        self._to_tensor = tf.convert_to_tensor
        self.runtime = f"tensorflow {tf.__version__}"

    def run(self, **inputs):
        tensors = {name: self._to_tensor(value) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in self._signature(**tensors).items()}


_BY_SUFFIX = {SUFFIXES[kind.format]: kind for kind in (TFLiteFile, OnnxFile, OpenvinoFolder)}


def open_export(path: str | Path, threads: int | None = None) -> Exported:
    """Opens what `kzoo.export` wrote.

    Args:
        path: a `.tflite` or `.onnx` file, an `.openvino` folder, a SavedModel folder, or a folder of its versions, of
            which the latest is opened.
        threads: number of processor cores to use; all where None.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is no export, or not by kzoo.
        ImportError: its runtime is not installed.

    Example:
        >>> kzoo.deploy.open_export("cells.tflite").detect("blood.jpg").draw()
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or folder; give a .tflite or .onnx file, an .openvino folder or a SavedModel"
        )
    kind = _BY_SUFFIX.get(path.suffix.lower(), SavedModelFolder)
    if path.is_dir() != kind.is_folder:
        raise ValueError(
            f"{path}: is no export; give a .tflite or .onnx file, or an .openvino or SavedModel folder"
        )
    return kind(_version_folder(path) if kind is SavedModelFolder else path, threads)


def _version_folder(path: Path) -> Path:
    from kzoo.deploy.saved_model import is_saved_model

    if is_saved_model(path):
        return path
    versions = [v for v in path.iterdir() if v.name.isdigit() and is_saved_model(v)]
    if not versions:
        raise ValueError(f"{path}: is no SavedModel folder, nor one of versions of it")
    return max(versions, key=lambda version: int(version.name))

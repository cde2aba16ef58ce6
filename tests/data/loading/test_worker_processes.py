"""Worker processes: the same batches, memory that is not drawn over while in use, and nothing left behind."""

import gc
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from noise_pictures import MANY, Drawn, Recorded, equal

from kzoo.data.loading.loader import batches
from kzoo.structures import Sample


def loader(data=None, size=48, augment="light", workers=2, **options):
    options = {"worker_kind": "process", "repeat": True, "seed": 3, **options}
    return batches(data or Drawn(), size, 4, augment, workers=workers, **options)


def alone(count: int, *arguments, **options) -> list:
    return list(itertools.islice(loader(*arguments, workers=0, **options), count))


def workers_of(stream) -> list[int]:
    """Process numbers of a pass's workers."""
    return [process.pid for process in stream._parent._workers._processes]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(map(runs, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(runs, pids))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_same_batches_at_several_sizes_and_resumed(workers):
    sizes = [(32, 32), (48, 48), (64, 64)]
    options = {"mosaic_epochs": 3, "size_steps": 3}
    through = alone(20, Recorded(), sizes, MANY, **options)
    assert len({images.shape for images, _ in through}) == 3
    stream = iter(loader(Recorded(), sizes, MANY, workers, start_epoch=2, **options))
    assert all(equal(a, next(stream)) for a in through[10:])
    stream.close()


def test_a_last_batch_that_is_smaller():
    options = {"shuffle": False, "repeat": False}
    one, other = list(loader(**options)), alone(9, **options)
    assert [len(images) for images, _ in one] == [4, 4, 4, 4, 4, 2]
    assert all(map(equal, one, other))


class Painted(Drawn):
    """Semantic masks instead of boxes."""

    semantic = True

    def __getitem__(self, index):
        image = super().__getitem__(index).image
        return Sample(image, mask=np.where(image[..., 0] > 250, 255, image[..., 0] // 100), id=f"img{index}")


def weigh(rng, sample):
    sample.pixel_weights = rng.random(sample.size, np.float32)
    return sample


weigh.weighted = True


def test_semantic_masks_and_their_weights():
    stream = iter(loader(Painted(), augment=["flip", weigh]))
    for expected in alone(6, Painted(), augment=["flip", weigh]):
        images, targets = next(stream)
        assert equal((images, targets), expected)
        assert targets["mask"].shape == targets["weights"].shape == images.shape[:3]
        assert targets["weights"].dtype == np.float32 and len(np.unique(targets["mask"])) > 2
    stream.close()


@pytest.mark.parametrize("cache", ["memory", None])
def test_batches_that_are_kept_stay_as_they_were(cache):
    """However many: beyond the slots that can be spared they are copies; the others outlive the workers."""
    stream = iter(loader(cache=cache))
    kept = list(itertools.islice(stream, 20))
    stream.close()
    del stream
    gc.collect()
    assert all(map(equal, kept, alone(20)))
    lent = [images for images, _ in kept if not images.flags.owndata]
    assert len(lent) == 4 and all(images.ctypes.data % 64 == 0 for images in lent)


def test_slots_are_used_again():
    stream = iter(loader())
    addresses = {next(stream)[0].ctypes.data for _ in range(40)}
    stream.close()
    assert len(addresses) <= 8


@pytest.fixture(scope="module")
def endless():
    """A stream that goes on from test to test, as processes take a second to start."""
    stream = iter(loader())
    yield stream
    stream.close()


@pytest.mark.parametrize(
    "part",
    [
        lambda images, targets: images[1:3, ::2].transpose(0, 3, 1, 2)[..., 5],
        lambda images, targets: memoryview(images)[2:],
        lambda images, targets: images.view(np.int8).reshape(-1)[7:],
        lambda images, targets: targets["boxes"][0],
        lambda images, targets: np.lib.stride_tricks.sliding_window_view(targets["labels"], 2, 1),
        lambda images, targets: np.frombuffer(images, np.uint8),
    ],
    ids=["slices", "memoryview", "reshaped", "target", "strides", "buffer"],
)
def test_a_part_of_a_batch_keeps_its_slot(part, endless):
    kept = part(*next(endless))
    before = np.array(kept).tobytes()
    for _ in range(30):
        next(endless)[0][...] = 0  # Whoever has the slot may write on it.
    assert np.array(kept).tobytes() == before


class Odd(Exception):
    """One that cannot be made again of its message."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


class Failing(Drawn):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def __getitem__(self, index):
        if index == 13:
            raise self.error() if self.error is not Odd else Odd(1, 2)
        return super().__getitem__(index)


@pytest.mark.parametrize(
    "error, raised, message", [(KeyError, KeyError, ""), (Odd, RuntimeError, "Odd: 1 and 2")]
)
def test_errors(error, raised, message):
    data = loader(Failing(error), shuffle=False)
    stream = iter(data)
    for _ in range(3):
        next(stream)
    pids = workers_of(stream)
    with pytest.raises(raised, match=f"^{message}") as caught:
        next(stream)
    assert data.error is caught.value and type(caught.value) is raised and "\n" not in str(caught.value)
    # For whoever has written the dataset: where it was.
    assert "in __getitem__" in caught.value.__notes__[0]
    assert gone(pids, 0)


def test_a_worker_that_is_killed():
    stream = iter(loader())
    next(stream)
    pids = workers_of(stream)
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(
        ChildProcessError, match=rf"^batches: worker process {pids[1]} ended by SIGKILL; .* fewer"
    ):
        for _ in range(9):
            next(stream)
    assert gone(pids, 0)


def test_closed_early():
    stream = iter(loader())
    next(stream)
    pids = workers_of(stream)
    assert all(map(runs, pids))
    start = time.monotonic()
    stream.close()
    assert gone(pids, 0) and time.monotonic() - start < 1.5  # Beyond two seconds they would be killed.
    with pytest.raises(ValueError, match="closed"):
        next(stream)


def test_the_next_pass_has_the_same_workers():
    """Keras looks at two batches before it begins; it need not wait for new processes."""
    data = loader(repeat=False)
    stream = iter(data)
    assert equal(next(stream), alone(1)[0])
    pids = workers_of(stream)
    del stream
    taken = []
    for _ in range(2):
        stream = iter(data)
        taken.append(next(stream))
        assert workers_of(stream) == pids
        # At the same time, others.
        other = iter(data)
        assert equal(next(other), taken[-1]) and not set(workers_of(other)) & set(pids)
        other.close()
        taken.extend(stream)
    assert all(map(equal, taken, alone(10))) and data.epoch == 2
    del stream, other, data
    gc.collect()
    assert gone(pids, 0)


def test_state_goes_to_threads_and_back():
    expected = alone(8)
    stream = iter(loader())
    next(stream), next(stream)
    state = stream.get_state()
    for kind in ("thread", "process"):
        other = iter(loader(worker_kind=kind))
        next(other)
        other.set_state(state)
        assert equal(next(other), expected[2])
        other.set_state({**state, "shown": 6, "stream": {"next_index": 6}})
        assert equal(next(other), expected[6])
        other.set_state(state)
        assert equal(next(other), expected[2]) and equal(next(other), expected[3])
        other.close()
    stream.close()


def test_what_cannot_be_sent():
    class Local(Drawn):
        pass

    for options in ({"data": Local()}, {"augment": [lambda rng, sample: sample]}):
        with pytest.raises(ValueError, match=r"cannot be sent to worker processes: .*; define it at the top"):
            next(iter(loader(**options)))


def script(tmp_path, text: str, **options) -> subprocess.Popen:
    """A script that finds this module, running, in a process group of its own."""
    path = tmp_path / "script.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n{text}")
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


UNGUARDED = """
import absl.logging, torch  # What is slow to load.
print("loaded")
import without
from kzoo.data import Shapes
from test_worker_processes import loader, workers_of
stream = iter(loader(Shapes(8), augment=["flip", without.keras]))
print(next(stream)[0].shape, sum(1 for _ in zip(range(5), stream)))
"""


@pytest.mark.backends
def test_a_script_is_not_loaded_again_and_needs_no_guard(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "without.py").write_text(
        "import sys\n"
        "def keras(rng, sample):\n"
        "    loaded = {'keras', 'tensorflow', 'torch', 'jax', 'grain'} & set(sys.modules)\n"
        "    assert not loaded, loaded\n"
        "    return sample\n"
    )
    output, errors = script(tmp_path, UNGUARDED).communicate(timeout=120)
    assert output.splitlines() == ["loaded", "(4, 48, 48, 3) 5"], errors
    assert errors == ""


DEFINED = """
from noise_pictures import Drawn
from test_worker_processes import loader
class Own(Drawn):
    def __getitem__(self, index):
        if index == 13:
            raise Wrong("here")
        return super().__getitem__(index)
class Wrong(Exception):
    pass
def show():
    try:
        for batch in loader(Own(), shuffle=False):
            print(batch[0].shape)
    except Exception as error:
        print(type(error) is Wrong, error)
"""


def test_what_a_script_defines_itself(tmp_path):
    guarded = DEFINED + "if __name__ == '__main__':\n    show()\n"
    output, errors = script(tmp_path, guarded).communicate(timeout=120)
    assert output.splitlines() == ["(4, 48, 48, 3)"] * 3 + ["True here"], errors
    output, errors = script(tmp_path, DEFINED + "show()\n").communicate(timeout=120)
    assert output.startswith("False batches: a worker process could not load") and "__main__" in output
    assert output.count("\n") == 1 and errors == ""


def test_a_console_s_own_dataset():
    code = "from noise_pictures import Drawn; from test_worker_processes import loader; Own = type('Own', (Drawn,), {})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; next(iter(loader(Own())))"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "ValueError: batches: a worker process could not load" in done.stderr and "notebook" in done.stderr


def shared_memory() -> set[str]:
    """Names of what Python's and Grain's processes share; other programs come and go."""
    return {
        path.name for path in Path("/dev/shm").glob("*") if path.name.startswith(("psm_", "sem.", "pym-"))
    }


# What a shell starts in the background ignores an interrupt unless it asks for it.
ENDLESS = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from test_worker_processes import loader, workers_of
stream = iter(loader())
next(stream)
print(*workers_of(stream), flush=True)
{then}
"""


@pytest.mark.parametrize(
    "then, sent, last",
    [
        ("", None, ""),
        ("1 / 0", None, "ZeroDivisionError: division by zero"),
        ("for _ in stream: pass", signal.SIGINT, "KeyboardInterrupt"),
        ("for _ in stream: pass", signal.SIGTERM, ""),
        ("time.sleep(60)", signal.SIGKILL, ""),
    ],
    ids=["end", "error", "interrupted", "terminated", "killed"],
)
def test_nothing_is_left(tmp_path, then, sent, last):
    shared = shared_memory()
    process = script(tmp_path, ENDLESS.format(then=then))
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    if sent is not None:
        time.sleep(0.2)
        os.killpg(process.pid, sent)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert gone(pids, 5)
    # Nor do the workers complain.
    assert errors.count("Traceback") == bool(last) and (errors.splitlines() or [""])[-1] == last
    assert shared_memory() == shared


ALIASES = """
from noise_pictures import equal
from test_worker_processes import alone, loader
import jax.numpy, numpy, torch
stream = iter(loader())
kept = []
for _ in range(3):
    images, targets = next(stream)
    kept.append((torch.from_numpy(images), torch.as_tensor(targets["boxes"]), jax.numpy.asarray(images)))
    assert kept[-1][0].data_ptr() == images.ctypes.data
    del images, targets
for _ in range(30):
    next(stream)[0][...] = 0
for (first, boxes, second), (images, targets) in zip(kept, alone(3)):
    assert (first.numpy() == images).all() and (boxes.numpy() == targets["boxes"]).all()
    assert (numpy.asarray(second) == images).all()
print("kept")
"""


@pytest.mark.slow
@pytest.mark.backends
def test_tensors_that_share_a_batch_s_memory_keep_it(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    output, errors = script(tmp_path, ALIASES).communicate(timeout=120)
    assert output == "kept\n", errors


FIT = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
from noise_pictures import Drawn
from test_worker_processes import loader
pixels = keras.Input((None, None, 3))
mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(pixels))
model = keras.Model(pixels, keras.layers.Dense(3)(mean))
model.compile("sgd", loss=lambda labels, predicted: keras.ops.mean(predicted**2))
first = model.get_weights()
losses = []
for workers in (0, 2):
    model.set_weights(first)
    data = loader(size=[(32, 32), (48, 48), (64, 64)], workers=workers)
    data = data.map(lambda batch: (batch[0], batch[1]["labels"][:, :3]))
    losses.append(model.fit(data, epochs=2, steps_per_epoch=5, verbose=0).history["loss"])
assert losses[0] == losses[1], losses
print("fitted")
"""


@pytest.mark.slow
def test_fit_takes_them(tmp_path):
    output, errors = script(tmp_path, FIT).communicate(timeout=240)
    assert output == "fitted\n", errors[-3000:]


def test_which_kind_a_training_takes(monkeypatch):
    """Processes for much to draw, and where they need neither the script that runs nor a cache each."""
    from kzoo.training.config import TrainConfig
    from kzoo.training.inputs import training_batches

    def kind(data=None, size=640, **options):
        config = TrainConfig(**{"epochs": 300, "workers": 2, **options})
        return training_batches(data or Recorded(), config, (size, size)).worker_kind

    assert kind() == "process"
    assert kind(size=64) == kind(epochs=1) == kind(workers=1) == kind(cache="memory") == "thread"
    assert kind(augment=[lambda rng, sample: sample]) == kind(augment=["flip", weigh], epochs=1) == "thread"
    assert kind(augment=["flip", weigh]) == "process"
    own = type("Own", (Recorded,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Own", own, raising=False)
    assert kind(own()) == "thread" and kind(own(), worker_kind="process") == "process"
    assert kind(worker_kind="thread") == "thread"
    with pytest.raises(ValueError, match=r"worker_kind='fork': give auto, thread or process"):
        TrainConfig(worker_kind="fork")

"""Files of YOLO datasets and lists of boxes, damaged at random: a result, or one line that names the file."""

import json
import random

import numpy as np
import pytest

import kzoo.data
from kzoo.data.checks.check import check
from kzoo.structures.draw import encode_png

PNG = encode_png(np.zeros((20, 30, 3), np.uint8))
FILES = {
    "labels/train/a.txt": "0 .5 .5 .2 .2\n1 .4 .4 .1 .1\n",
    "labels/train/b.txt": "0 .1 .1 .5 .1 .5 .6 .1 .6\n",
    "labels/val/a.txt": "1 0.5 0.5 0.25 0.5\n",
    "data.yaml": "path: .\ntrain: images/train\nval: list.txt\nnames:\n  0: cat\n  1: dog\nnc: 2\n",
    "list.txt": "./images/val/a.png\n./images/val/b.png\nimages/val/c.png\n",
    "flags.json": json.dumps({"labels/train/a.txt": {"difficult": [1], "crowd": [2]}}),
    "obj.data": "classes = 2\ntrain = list.txt\nvalid = list.txt\nnames = obj.names\nbackup = backup/\n",
    "obj.names": "cat\ndog\n",
    "boxes/x.csv": "images/a.png,1,2,10,12,cat\nimages/b.png,,,,,\nimages/c.png,1,2,3,4,dog\n",
    "boxes/classes.csv": "cat,0\ndog,1\n",
    "table.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,30,20,cat,1,2,9,9\nb.png,30,20,dog,1,2,9,9\n",
    "lines/boxes.txt": "images/a.png 1,2,10,12,0 3,4,5,6,1\nimages/b.png\nimages/c.png 1,1,2,2,1\n",
    "bare/classes.txt": "cat\ndog\n",
    "bare/a.txt": "0 .5 .5 .2 .2\n",
}
# What is opened to read a damaged file.
OPENED = {
    "obj.data": "obj.data", "obj.names": "obj.data", "boxes/x.csv": "boxes/x.csv", "boxes/classes.csv": "boxes/x.csv",
    "table.csv": "table.csv", "lines/boxes.txt": "lines/boxes.txt", "bare/classes.txt": "bare", "bare/a.txt": "bare",
}  # fmt: skip
PIECES = [
    b"nan", b"inf", b"1e19", b"-1e308", b"1e308", b"9" * 400, b"9" * 5000, b"-", b"\xff", b"\x00", b"\r", b"\n", b"\t",
    b",", b"'", b'"', b"[", b"{", b"}", b"]", b":", b"&a ", b"*a", b"!!python/object:os.system ", b"<<: ", b"../" * 50,
    b"/", b"\\", b"C:\\", b"#", b"null", b"~", b"true", b"\xef\xbb\xbf", b"\xff\xfe", b"a" * 300, b"\xe2\x80\xa8",
    b"1_0", b" ", b"%", b"? ", b"- ", b"|\n", b"kpt_shape: [2, 2]\n", b"{images: a, masks: b}", b"0 " * 2000,
    b"[" * 3000, b"- " * 3000, b"x/" * 3000, b"1,2,3,4,5 " * 500, b"0 .5 .5 .2 .2\n" * 500,
]  # fmt: skip


def damaged(rng: random.Random, content: bytes) -> bytes:
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at, chance = rng.randrange(len(content) + 1), rng.random()
        if chance < 0.25 and content:
            content[at % len(content)] = rng.randrange(256)
        elif chance < 0.4:
            del content[at : at + rng.randrange(1, 12)]
        elif chance < 0.75:
            content[at:at] = rng.choice(PIECES)
        elif chance < 0.85:
            start, end = sorted((at, rng.randrange(len(content) + 1)))
            content[at:at] = content[start:end]
        elif chance < 0.93:
            words = bytes(content).split(b" ")
            words[rng.randrange(len(words))] = rng.choice(PIECES)
            content = bytearray(b" ".join(words))
        else:
            lines = bytes(content).split(b"\n")
            rng.shuffle(lines)
            content = bytearray(b"\n".join(lines))
    return bytes(content)


def look(path) -> list:
    """Opens all there is of a dataset: its faults."""
    for part in kzoo.data.splits(path):
        kzoo.data.load(path, part)
    data = kzoo.data.load(path, masks=True)
    report = check(data, decode=False)
    assert "\n" not in "".join(map(str, report.faults)) and report.to_dict()
    for index in range(min(len(data), 3)):
        try:
            data[index]
        except (OSError, ValueError) as error:
            assert "\n" not in str(error)
    return report.faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("fuzz")
    for place in ("images", "images/train", "images/val", "boxes/images", "lines/images", "bare"):
        for name in "abc":
            (root / place).mkdir(parents=True, exist_ok=True)
            (root / place / f"{name}.png").write_bytes(PNG)
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_sound_files_have_no_errors(folder):
    for opened in {"data.yaml", *OPENED.values()}:
        assert not [fault for fault in look(folder / opened) if fault.severity == "error"], opened


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(s, marks=pytest.mark.exhaustive) for s in range(4, 84))]
)
def test_damaged_files(folder, seed):
    rng = random.Random(seed)
    for _ in range(250):
        name = rng.choice(list(FILES))
        content = damaged(rng, FILES[name].encode())
        (folder / name).write_bytes(content)
        try:
            look(folder / OPENED.get(name, "data.yaml"))
        except (OSError, ValueError) as error:
            said = str(error)
            assert (folder / name).name in said or name.startswith("bare/"), (name, content, said)
            assert "\n" not in said and len(said) < 6000, (name, content, said)
        except Exception as error:
            raise AssertionError(f"{name}: {content!r}") from error
        finally:
            (folder / name).write_text(FILES[name])

"""`.pth` files without torch: both layouts, all types, views; and what is refused."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from kzoo.weights.pickled import read_pickled


def content(torch):
    draw = torch.Generator().manual_seed(0)
    whole = torch.randn(6, 5, generator=draw)
    tensors = {
        "turned": whole.T,
        "part": whole[1:3, ::2],
        "parameter": torch.nn.Parameter(whole[0]),
        "half": whole.half(),
        "bfloat16": whole.bfloat16(),
        "count": torch.tensor(7),
        "none": torch.zeros(0, 3),
        "flags": whole > 0,
    }
    return {"state_dict": tensors, "epoch": 3}


@pytest.mark.backends
@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_writes(zipped, tmp_path):
    torch = pytest.importorskip("torch")
    written = content(torch)
    torch.save(written, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    read = read_pickled(tmp_path / "a.pth")
    assert read["epoch"] == 3
    for name, tensor in written["state_dict"].items():
        np.testing.assert_array_equal(read["state_dict"][name], tensor.detach().float().numpy(), name)


class Call:
    """What unpickling would run."""

    def __init__(self, function, *arguments):
        self.called = (function, arguments)

    def __reduce__(self):
        return self.called


class Pickler(pickle.Pickler):
    """Writes torch's names without torch."""

    def persistent_id(self, value):
        return value if isinstance(value, tuple) and value[:1] == ("storage",) else None


def legacy(*pickles, rest=b""):
    file = io.BytesIO()
    for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, *pickles):
        Pickler(file, protocol=2).dump(each)
    return file.getvalue() + rest


@pytest.mark.parametrize(
    "bytes_, said",
    [
        (b"", "exhausted before seeing STOP"),
        (pickle.dumps(3, protocol=2), "not written by torch|exhausted before seeing STOP"),
        (legacy(3, []), "a int, not a state dict"),
        (legacy({"a": Call(print, "run")}, []), "builtins.print is no tensor|__builtin__.print is no tensor"),
        (legacy({"a": Call(eval, "1")}, []), "eval is no tensor"),
        (legacy({"a": ("storage", "x", "0", "cpu", 3)}, []), "'storage' is no storage"),
        (legacy({}, ["0"]), "'0'"),
    ],
)
def test_what_is_refused(bytes_, said, tmp_path, capsys):
    (tmp_path / "a.pth").write_bytes(bytes_)
    with pytest.raises((ValueError, KeyError, EOFError, pickle.UnpicklingError), match=said):
        read_pickled(tmp_path / "a.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.backends
def test_tensors_beyond_their_numbers_and_files_that_end_too_early(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(
        {"a": torch.arange(6.0).reshape(2, 3)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False
    )
    whole = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "b.pth").write_bytes(whole[:-4])
    with pytest.raises(ValueError, match="ends too early"):
        read_pickled(tmp_path / "b.pth")
    shape = b"K\x02K\x03\x86"  # (2, 3) as a pickle has it
    assert whole.count(shape) == 1
    (tmp_path / "c.pth").write_bytes(whole.replace(shape, b"K\x02K\x09\x86"))
    with pytest.raises(ValueError, match=r"a tensor of shape \(2, 9\) of 6 numbers"):
        read_pickled(tmp_path / "c.pth")
    strides = b"K\x03K\x01\x86"
    assert whole.count(strides) == 1
    (tmp_path / "f.pth").write_bytes(whole.replace(strides, b"K\x09K\x01\x86"))
    with pytest.raises(ValueError, match=r"a tensor of shape \(2, 3\) reaches beyond its 6 numbers"):
        read_pickled(tmp_path / "f.pth")
    torch.save({"a": torch.zeros(1).expand(2**20, 2**20)}, tmp_path / "g.pth")
    with pytest.raises(ValueError, match=r"a tensor of shape \(1048576, 1048576\) of 1 numbers"):
        read_pickled(tmp_path / "g.pth")
    torch.save({"a": torch.arange(6.0)}, tmp_path / "d.pth")
    with zipfile.ZipFile(tmp_path / "d.pth") as old, zipfile.ZipFile(tmp_path / "e.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))
    with pytest.raises(ValueError, match="big-endian"):
        read_pickled(tmp_path / "e.pth")

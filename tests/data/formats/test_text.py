"""Text files of strangers: what is read, and what a refusal says."""

import pytest

from kzoo.data.formats.text import read_lines, read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_read_with_or_without_a_mark(encoding, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("théière\n茶壶\n".encode(encoding))
    assert read_lines(path) == ["théière", "茶壶"]


@pytest.mark.parametrize(
    "content, place",
    [
        ("x\nthéière".encode("latin-1"), ":2: byte 0xe9 is no UTF-8"),
        ("茶壶".encode("gbk"), ":1: byte 0xb2 is no UTF-8"),
        ("x\ny".encode("utf-16-le"), ":1: a zero byte"),
        (b"\xff\xfea", ":1: byte 0x61 is no UTF-16"),
    ],
)
def test_refused_with_file_and_line(content, place, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_text(path)
    assert str(caught.value).startswith(f"{path}{place}")
    assert str(caught.value).endswith("save it as UTF-8")

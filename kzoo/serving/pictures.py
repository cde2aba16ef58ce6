"""The picture of a request: its body, a part of a form, or base64 in JSON."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import numpy as np
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from kzoo.serving.limits import body, body_parts
from kzoo.serving.refusal import Refusal
from kzoo.serving.settings import Settings
from kzoo.sources.header import read_header
from kzoo.sources.image import decode_image

_RAW = (
    "",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
)  # what curl says where nobody tells it
_WAYS = "send a picture as the body, as a part of multipart/form-data, or as base64 in JSON"
FIELD = "image"  # of JSON


async def picture_bytes(request: Request, settings: Settings) -> bytes:
    """The file of a picture that a request brings, by whichever of three ways.

    Args:
        request: the request.
        settings: limits.

    Raises:
        Refusal: there is none, or the body is too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            data = await _form_file(request, settings)
        elif kind == "application/json":
            data = base64_field(read_json(await body(request, settings.most_bytes)))
        elif kind in _RAW or kind.startswith("image/"):
            data = await body(request, settings.most_bytes)
        else:
            raise Refusal(415, f"Content-Type {kind!r}: {_WAYS}")
    except ClientDisconnect:
        raise Refusal(400, "body: the connection ended within it") from None
    if not data:
        raise Refusal(400, f"body: empty; {_WAYS}")
    return data


def read_json(data: bytes) -> dict[str, Any]:
    """A JSON object out of a body; a `Refusal` where it is none."""
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"body: no JSON: {error or type(error).__name__}; send a JSON object") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"body: JSON, but no object; send {{...}}, not {type(value).__name__}")
    return value


def _refuse_constant(word: str):
    raise ValueError(f"{word} is no number of JSON")


def base64_field(value: dict[str, Any]) -> bytes:
    """The file in `{"image": BASE64}`, also as a `data:` address, which holds it itself."""
    text = value.get(FIELD)
    others = sorted(set(value) - {FIELD})
    if not isinstance(text, str) or others:
        wrong = f"unknown field {others[0]!r}" if others else f"no text in the field {FIELD!r}"
        raise Refusal(400, f'body: {wrong}; send {{"{FIELD}": BASE64}}')
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(
            400, f"{FIELD}: no base64; send the picture itself: addresses and paths are not followed"
        ) from None


class _InMemory(MultiPartParser):
    """Forms whose files stay in memory, which the limit of the body bounds."""

    spool_max_size = 2**31


async def _form_file(request: Request, settings: Settings) -> bytes:
    """The one file of a form."""
    parts = body_parts(request, settings.most_bytes)
    parser = _InMemory(request.headers, parts, max_files=1, max_fields=0, max_part_size=settings.most_bytes)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Refusal(400, f"body: no form with one file: {error}; {_WAYS}") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise Refusal(400, f"body: a form without a file; {_WAYS}")
    return await files[0].read()


def decode(data: bytes, most_pixels: int) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB in a file.

    Args:
        data: the file.
        most_pixels: number of pixels, at most, by the header: nothing larger is decoded.

    Raises:
        Refusal: it is no picture, a damaged or a larger one.
    """
    header = read_header(memoryview(data))
    if header is None:
        raise Refusal(
            415,
            "image: no picture of a known format; send JPEG, PNG, WebP, BMP, TIFF or another that kzoo reads",
        )
    if header.height * header.width > most_pixels:
        claim = f"{header.width} x {header.height} pixels"
        raise Refusal(413, f"image: {claim}, and {most_pixels} are taken at most; send a smaller picture")
    try:
        return decode_image(data, "image")
    except ValueError as error:
        raise Refusal(400, str(error)) from None

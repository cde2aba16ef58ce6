"""The page at `/`, and the one that shows what addresses there are: files of the package, nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response

_POLICY = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'"
# Addresses and the files behind them: no part of an address becomes a path.
_FILES = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/masks.js": ("masks.js", "text/javascript"),
    "/page/docs.js": ("docs.js", "text/javascript"),
}


def add_pages(app: FastAPI) -> None:
    """Adds the pages, which know no more of the service than anybody who asks it.

    Args:
        app: the application.
    """
    folder = files("kzoo.serving") / "page"
    for address, (name, kind) in _FILES.items():
        app.add_api_route(address, _page((folder / name).read_bytes(), kind), include_in_schema=False)


def _page(content: bytes, kind: str):
    """What serves a file."""

    async def page() -> Response:
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
        return Response(content, media_type=kind, headers=headers)

    return page

"""What a request may not be: without its token, one too many, too long, too slow."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from kzoo.serving.refusal import Refusal, busy
from kzoo.serving.settings import Settings


class Gate:
    """Lets as many requests in as are worked on at a time, each for as long as a request takes.

    Args:
        settings: batches and limits.

    Example:
        >>> async with Gate(Settings()).passed(request): ...
    """

    def __init__(self, settings: Settings):
        self.settings, self.inside = settings, 0

    @asynccontextmanager
    async def passed(self, request: Request) -> AsyncIterator[None]:
        """What is done in it is done within the limits of time and number, by somebody who may.

        Raises:
            Refusal: the token is missing or wrong, too many are inside, or the time is over.
        """
        check_token(request, self.settings.token)
        if self.inside >= self.settings.concurrency:
            raise busy(
                f"concurrency: {self.inside} requests are worked on, and {self.settings.concurrency} may be"
            )
        self.inside += 1
        try:
            async with asyncio.timeout(self.settings.timeout):
                yield
        except TimeoutError:
            limit = self.settings.timeout
            message = f"timeout: not done within {limit:g} s; send a smaller picture, or try again later"
            raise Refusal(408, message, {"Connection": "close"}) from None
        finally:
            self.inside -= 1


def check_token(request: Request, token: str | None) -> None:
    """Refuses a request that does not bring the token.

    Args:
        request: the request.
        token: the token; None where nothing is asked for.
    """
    if token is None:
        return
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    # In the same time, however many letters are right.
    if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        message = "token: missing or wrong; send the header Authorization: Bearer TOKEN"
        raise Refusal(401, message, {"WWW-Authenticate": "Bearer"})


async def body_parts(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body of a request, piece by piece, and no more than is taken.

    Args:
        request: the request.
        most: number of bytes, at most.

    Raises:
        Refusal: it has more, or says so beforehand, or is compressed, and so could be of any size.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise Refusal(415, f"Content-Encoding {coding!r}: send it without")
    said = request.headers.get("content-length", "")
    if said.isdecimal():
        _refuse_length(int(said), most)
    count = 0
    async for part in request.stream():
        count += len(part)
        _refuse_length(count, most)
        yield part


async def body(request: Request, most: int) -> bytes:
    """The whole body of a request.

    Args:
        request: the request.
        most: number of bytes, at most.

    Raises:
        Refusal: it has more.
    """
    return b"".join([part async for part in body_parts(request, most)])


def _refuse_length(count: int, most: int) -> None:
    if count > most:
        # What is left of the body is not waited for.
        message = f"body: {count} bytes or more, and {most} are taken at most; send a smaller picture"
        raise Refusal(413, message, {"Connection": "close"})

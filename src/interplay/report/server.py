"""The page of an answer over HTTP, kept up to date by one thread; it can only be read.

    /            the page of the last answer; before there is one, a page that says what is missing
    /state.json  version (of the answer that / shows), words, table of the last runs

Requests are answered from memory. The thread alone looks at the runs, and attributes them for a third of its time at
most, or a tenth where others want all cores. Names of this machine alone are answered, so that no page from elsewhere
reads this one under a name of its own (DNS rebinding).
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..evaluations import MIN_RUNS
from .live import Sight, clock, words_of
from .page import as_json, html, waiting
from .words import shown

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ..attribution import Attribution

__all__ = ["Guard", "Pages", "Reply", "app", "http", "run"]

logger = logging.getLogger("interplay.serve")
#: Seconds between two looks at least; looks take a tenth of the time at most, attributions a third.
EVERY, LOOKING, RESTING = 2.0, 9.0, 2.0
#: How far the thread stands back behind trainings on the same machine (Linux). That counts within a session alone where
#: sessions share the cores evenly (autogroups, control groups); so it rests this many times as long where all are busy.
NICE, YIELDING = 10, 4.5
NAMES = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY = re.compile('<meta http-equiv="Content-Security-Policy" content="([^"]*)">')


@dataclass(frozen=True)
class Reply:
    """A text as it is sent: whole, and compressed; with the content security policy that a page states itself."""

    body: bytes
    zipped: bytes
    kind: str
    policy: str

    @classmethod
    def of(cls, text: str, kind: str) -> Reply:
        """Make the reply of a text."""
        body, own = text.encode("utf-8", "replace"), _POLICY.search(text)
        return cls(body, gzip.compress(body, 6, mtime=0), kind, unescape(own[1]) if own else "default-src 'none'")

    def response(self, request: Request) -> Response:
        """Answer a request."""
        short = _takes_gzip(request.headers)
        headers = {"Vary": "Accept-Encoding", "Content-Security-Policy": self.policy}
        headers |= {"Content-Encoding": "gzip"} if short else {}
        return Response(self.zipped if short else self.body, media_type=self.kind, headers=headers)


class Pages:
    """The page and its state, kept up to date while runs come in.

    Parameters
    ----------
    where : str
        What is served, for people.
    look : callable
        Returns a `Sight` of the runs.
    attribute : callable
        Reads the runs and returns their `Attribution`.
    places : sequence of path or str
        Where runs lie; secrets of addresses among them are taken out of every error.

    Attributes
    ----------
    page, state : Reply
        What is sent now.
    """

    def __init__(
        self,
        where: str,
        look: Callable[[], Sight],
        attribute: Callable[[], Attribution],
        places: Sequence[Any] = (),
    ):
        self.where, self._look, self._attribute, self._places = shown(where), look, attribute, places
        self._name, self._answers, self._runs, self._made = token_hex(4), 0, 0, ""
        self._sight: Sight | None = None
        self._mark: Any = None
        self._fault, self._away = "", ""
        self._rest = self._took = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="interplay serve", daemon=True)
        self._show()

    @property
    def version(self) -> str:
        """Of the answer that the page shows; another one after the server began anew."""
        return f"{self._name}.{self._answers}"

    def start(self) -> None:
        """Begin to follow the runs."""
        self._thread.start()

    def stop(self, seconds: float = 1.0) -> bool:
        """Follow them no more; return whether the thread ended within so many seconds."""
        self._stop.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def step(self) -> None:
        """Look at the runs once, and attribute them if there are others than before and it is time."""
        began = time.monotonic()
        try:
            self._sight, self._away = self._look(), ""
        except Exception as error:
            self._away = self._words(error)
        self._took = time.monotonic() - began
        sight = self._sight
        if sight is not None and not self._away and not sight.few and sight.mark != self._mark and began >= self._rest:
            self._answer(sight)
        self._show()

    def _run(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        while not self._stop.is_set():
            self.step()
            self._stop.wait(max(EVERY, LOOKING * self._took))

    def _answer(self, sight: Sight) -> None:
        since, began = clock(), time.monotonic()
        self._show(since)
        try:
            answer = self._attribute()
            made, runs, n = clock(), answer.made.get("runs", {}).get("rows", 0), self._answers + 1
            live = {
                "where": self.where,
                "version": f"{self._name}.{n}",
                "words": f"{sight.words}; {_page_words(runs, made)}",
            }
            page = Reply.of(html(answer, live), "text/html")
            self._answers, self._runs, self._made, self._fault, self._mark = n, runs, made, "", sight.mark
            self.page = page
        except Exception as error:
            self._fault = self._words(error)
            if isinstance(error, ValueError) or not isinstance(error, OSError):  # the same runs would do the same
                self._mark = sight.mark
        resting = RESTING * (YIELDING if _busy() else 1.0)
        self._rest = time.monotonic() + max(EVERY, resting * (time.monotonic() - began))

    def _words(self, error: Exception) -> str:
        if not isinstance(error, ValueError | OSError | ImportError):
            logger.error("a fault of interplay, please report it", exc_info=error)
        return words_of(error, self._places)

    def _show(self, since: str = "") -> None:
        """Put what is known into words; `since`: when the attribution that is under way began."""
        sight = self._sight
        said = [sight.words] if sight else []
        if self._away:
            said.append(f"they cannot be looked at now: {self._away}" if said else self._away)
        if self._answers:
            said.append(_page_words(self._runs, self._made))
            said += [f"attributing what came since (began {since})"] if since else []
            said += [f"what came since cannot be attributed: {self._fault}"] if self._fault and not since else []
        elif since:
            said.append(f"the first attribution is under way (began {since})")
        elif self._fault:
            said.append(f"no attribution yet: {self._fault}")
        elif sight and sight.few:
            said.append(f"an attribution needs at least {MIN_RUNS}")
        state = {"version": self.version, "words": "; ".join(said)}
        self.state = Reply.of(as_json({**state, "table": sight.table if sight else None}), "application/json")
        if not self._answers:
            self.page = Reply.of(waiting({"where": self.where, **state}), "text/html")


class Guard:
    """Before an application: only GET and HEAD, only names of this machine; the headers of every answer.

    Parameters
    ----------
    inner : ASGI application
    port : int
    """

    def __init__(self, inner: ASGIApp, port: int):
        self.inner, self.port = inner, port
        self.hosts = {host for name in NAMES for host in (name, f"{name}:{port}")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._refusal(scope) or self.inner)(scope, receive, sending)

    def _refusal(self, scope: Scope) -> Response | None:
        hosts = [host.lower() for host in Headers(scope=scope).getlist("host")]
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            say = f"This server answers to 127.0.0.1:{self.port} and localhost:{self.port} only.\n"
            return PlainTextResponse(say, 400)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This server can only be read.\n", 405, {"Allow": "GET, HEAD"})
        return None


def app(pages: Pages, port: int) -> ASGIApp:
    """Return the ASGI application of pages that lie at a port."""

    async def page(request: Request) -> Response:
        return pages.page.response(request)

    async def state(request: Request) -> Response:
        return pages.state.response(request)

    inner = Starlette(routes=[Route("/", page), Route("/state.json", state)])
    inner.router.redirect_slashes = False
    return Guard(inner, port)


def http(pages: Pages, port: int) -> uvicorn.Server:
    """Return the server of pages that lie at a port: it says nothing, and trusts no header about who asks."""
    how: dict[str, Any] = {"lifespan": "off", "ws": "none", "access_log": False, "server_header": False}
    how |= {"log_config": None, "log_level": "error", "timeout_graceful_shutdown": 2, "proxy_headers": False}
    return uvicorn.Server(uvicorn.Config(app(pages, port), **how))


def run(pages: Pages, listening: socket.socket) -> None:
    """Answer requests at a socket that listens, until Ctrl-C."""
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when it has ended
        http(pages, listening.getsockname()[1]).run(sockets=[listening])


def _busy() -> bool:
    """Whether as many processes want to run as this machine has cores."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] >= (os.cpu_count() or 1)


def _page_words(runs: int, made: str) -> str:
    return f"the page is that of {runs} runs (as of {made})"


def _takes_gzip(headers: Headers) -> bool:
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.replace(" ", "").partition(";")
        if name == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight)
    return False

"""What the tests of pages share: Chromium without network, what it and axe complained about; pages over HTTP.

The fixture `browser` of `conftest` is one Chromium for all tests of a module. Waiting ends with what is waited for, and
fails after `PATIENCE` seconds, which a machine with other work may need.
"""

import http.client
import json
import os
import shutil
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync --disable-dev-shm-usage"
PATIENCE = 120.0


@contextmanager
def chromium():
    """A browser; the test skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed (apt install chromium)")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS.split())
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, address, width=1200, scheme="light", ready=True):
    """A page at a path or address with all its figures drawn; `said` holds errors and warnings of its console."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url) if outside(request.url, address) else None)
    page.said = said
    context.set_default_timeout(1000 * PATIENCE)
    try:
        page.goto(address if "://" in str(address) else Path(address).as_uri())
        if ready:
            drawn(page)
        yield page
    finally:
        context.close()


def drawn(page):
    """Wait until all figures of a page are drawn."""
    page.wait_for_selector("html[data-ready=yes]", state="attached")


def serious(page):
    """Serious and critical violations that axe finds in a page: rule and elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def outside(url, address):
    """Whether a request leaves the page and its own server."""
    own = str(address).split("/")[2] if "://" in str(address) else ""
    return not (url.startswith(("file:", "data:", "blob:")) or (own and url.startswith(f"http://{own}/")))


def pages_of(place="runs.db", **how):
    """The pages of a store or file, attributed quickly."""
    from interplay import Evaluations, attribute
    from interplay.formats.several import Source
    from interplay.report import live, server

    def answer():
        return attribute(Evaluations.read(place, **how), surrogate="ridge", pairs=False)

    return server.Pages(str(place), lambda: live.look([Source(place)]), answer, [place])


def state_of(pages):
    """What the pages would answer about their state."""
    return json.loads(pages.state.body)


@contextmanager
def served(pages, follow=False):
    """A server in a thread; yields a function that asks it: (status, headers, body)."""
    from interplay.report import server

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    serving = server.http(pages, port)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
    thread.start()
    if follow:
        server.EVERY = 0.02
        pages.start()

    def ask(path="/", method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            for one in [value] if isinstance(value, str) else value:
                connection.putheader(name.replace("_", "-"), one.format(port=port))
        connection.endheaders()
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        return reply.status, dict(reply.getheaders()), body

    ask.port = port
    try:
        yield ask
    finally:
        if follow:
            assert pages.stop(PATIENCE)
        serving.should_exit = True
        thread.join(10)
        listening.close()

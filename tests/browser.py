"""Chromium for the tests of pages: one for a module, without network, and what it complained about."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync --disable-dev-shm-usage"


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
    page.goto(address if "://" in str(address) else Path(address).as_uri())
    if ready:
        page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
    try:
        yield page
    finally:
        context.close()


def outside(url, address):
    """Whether a request leaves the page and its own server."""
    own = str(address).split("/")[2] if "://" in str(address) else ""
    return not (url.startswith(("file:", "data:", "blob:")) or (own and url.startswith(f"http://{own}/")))

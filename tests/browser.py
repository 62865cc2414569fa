"""A real browser for tests of pages: Chromium as the system has it, without a window. Not a test itself."""

import shutil
from contextlib import contextmanager

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


def chromium_path():
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def chromium():
    """A browser of playwright's; the test is left out where that or the browser is missing."""
    reason = "playwright, which steers the browser, is not installed"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium is on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=[*_QUIET])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, **options):
    """A page, and a list of what it complains of, or wants from the network."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    heard = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: heard.append(request.url) if request.url.startswith("http") else None)
    try:
        yield page, heard
    finally:
        context.close()

"""The explorer's page on the disk, and open in a browser."""

from contextlib import ExitStack

import pytest

import layoutbridge as lb
from tests.browser import chromium, opened


@pytest.fixture(scope="module")
def browser():
    """For a module, not for all: while it is there, no other test of the process may run an event loop."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    lb.explore(path)
    return path.as_uri()


@pytest.fixture(scope="module")
def desk(browser):
    """A page of a usual size, which tests use one after another: a new one takes longer than most of them."""
    with opened(browser) as made:
        yield made


@pytest.fixture
def at(browser, address, desk):
    """Opens the explorer at the part of a link behind the #; what it complains of fails the test."""
    with ExitStack() as held:
        pages = [desk]
        desk[1].clear()

        def open_at(link, **options):
            if options:
                pages.append(held.enter_context(opened(browser, **options)))
            page, _ = pages[-1] if options else desk
            page.mouse.move(0, 0)
            page.goto("about:blank")  # else the page would stay, and go to another part of itself
            page.goto(f"{address}#{link}")
            return page

        yield open_at
        assert [heard for _, heard in pages if heard] == []


@pytest.fixture
def page(at):
    """The explorer as it is opened first."""
    return at("")

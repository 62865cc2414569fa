"""One thread watches over all runs: each is stopped at its own time, or not at all, in forked children too."""

from __future__ import annotations

import os
import threading
from threading import Event
from time import monotonic, sleep

import pytest

from layoutbridge.frameworks.deadlines import stopped_after


def test_the_sooner_end_comes_sooner_whichever_began_first():
    late, soon, ended = Event(), Event(), Event()
    with stopped_after(60, late.set), stopped_after(0.05, soon.set):
        begun = monotonic()
        assert soon.wait(30) and monotonic() - begun < 10
        assert not late.is_set()
    with stopped_after(0.05, ended.set):
        pass
    sleep(0.2)
    assert not ended.is_set() and not late.is_set()


def test_many_runs_at_once_take_one_thread():
    before, over = threading.active_count(), [Event() for _ in range(50)]
    watched = [stopped_after(0.3, event.set) for event in over]
    for each in watched:
        each.__enter__()
    assert threading.active_count() <= before + 1
    assert all(event.wait(30) for event in over)
    for each in watched:
        each.__exit__(None, None, None)
    until = monotonic() + 30
    while threading.active_count() > before and monotonic() < until:
        sleep(0.01)
    assert threading.active_count() <= before  # it ends with the last


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_watches_by_itself():
    with stopped_after(60, Event().set):
        child = os.fork()
        if child == 0:
            over = Event()
            with stopped_after(0.01, over.set):
                os._exit(0 if over.wait(30) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

"""Audits by a Dask scheduler and workers, each a process of its own: the same report, also when a worker is lost."""

import re
import signal
import subprocess
import sys
import time

import pytest

import layoutbridge as lb
from layoutbridge.errors import UnusableInputError

for needed in ("fsspec", "pebble", "pyarrow", "distributed", "onnx", "psutil"):
    pytest.importorskip(needed)

import psutil  # noqa: E402

from tests.auditing.models import long_one, wrapped  # noqa: E402

pytestmark = pytest.mark.slow
LOCAL = "--host", "127.0.0.1"


def started(folder, *arguments):
    """A process of Dask's command line, which writes to a file there."""
    with (folder / f"{arguments[0]}-{time.monotonic()}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]], stdout=log, stderr=log,
            cwd=folder,
        )  # fmt: skip


def end(process):
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


@pytest.fixture
def address(tmp_path):
    """A scheduler without workers."""
    file = tmp_path / "scheduler.json"
    process = started(tmp_path, "scheduler", *LOCAL, "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    limit = time.monotonic() + 60
    while not (file.exists() and "tcp://" in file.read_text()):
        assert time.monotonic() < limit and process.poll() is None
        time.sleep(0.1)
    yield re.search(r"tcp://[0-9.:]+", file.read_text()).group()
    end(process)


@pytest.fixture
def workers(address, tmp_path):
    made = [
        started(tmp_path, "worker", address, *LOCAL, "--nthreads", "1", "--no-dashboard", "--name", str(number))
        for number in range(2)
    ]
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    yield made
    for process in made:
        if process.poll() is None:
            end(process)


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for seed in range(150):
        wrapped(folder / f"m{seed:03}.onnx", lb.op(("focus", "darknet_reorg", "space_to_depth")[seed % 3]), seed=seed)
    (folder / "torn.onnx").write_bytes(b"torn")
    return folder


def test_the_same_report(address, workers, models, tmp_path):
    lb.audit([str(models)], tmp_path / "here.parquet", jobs=2)
    found = lb.audit([str(models)], tmp_path / "there.parquet", scheduler=address)
    assert found.files == {"scanned": 150, "unusable": 1}
    assert (tmp_path / "there.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()


def test_a_worker_is_killed_half_way(address, workers, models, tmp_path):
    lb.audit([str(models)], tmp_path / "here.parquet", jobs=2)

    def kill(done, total):
        if done >= total // 2 and workers[0].poll() is None:
            end(workers[0])

    lb.audit([str(models)], tmp_path / "there.parquet", scheduler=address, progress=kill)
    assert workers[0].poll() == -signal.SIGKILL
    assert (tmp_path / "there.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()


@pytest.mark.thorough
def test_a_file_that_takes_too_long(address, workers, models):
    long_one(models / "long.onnx")
    found = lb.audit([str(models)], scheduler=address, seconds=0.7)
    assert found.files == {"scanned": 150, "unusable": 1, "timed out": 1}


def test_no_worker_has_joined(address, models, monkeypatch):
    monkeypatch.setattr("layoutbridge.auditing.engines._PATIENCE", 1)
    with pytest.raises(UnusableInputError, match="no worker has joined"):
        lb.audit([str(models)], scheduler=address)


def test_nobody_is_there(models, monkeypatch):
    monkeypatch.setattr("layoutbridge.auditing.engines._PATIENCE", 1)
    with pytest.raises(UnusableInputError, match=r"no scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        lb.audit([str(models)], scheduler="tcp://127.0.0.1:9")

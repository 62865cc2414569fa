"""Where subjects run: beside layoutbridge, or in environments of their own where they cannot be installed beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from layoutbridge.errors import UnusableInputError
from layoutbridge.files import PathLike

BESIDE = ""  # what is installed where layoutbridge is
# What pip installs in each: NumPy comes with all of them.
ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    BESIDE: (),
    "mnn": ("MNN==3.6.1", "onnx==1.23.2", "ml_dtypes"),
    "opencv4": ("opencv-python-headless==4.12.0.88", "onnx==1.23.2", "ml_dtypes"),
    "opencv5": ("opencv-python-headless==5.0.0.93", "onnx==1.23.2", "ml_dtypes"),
    "tinygrad": ("tinygrad==0.14.0", "numpy", "onnx==1.23.2", "ml_dtypes"),
    "executorch": ("executorch==1.5.1", "torch==2.13.0", "ml_dtypes"),
    "iree": ("iree-base-compiler==3.13.0", "iree-base-runtime==3.13.0", "onnx==1.23.2", "ml_dtypes"),
    "jax2onnx": ("jax2onnx==0.17.1", "jax==0.10.2", "onnxruntime==1.32.0", "ml_dtypes"),
    "mindspore": ("mindspore==2.10.0", "numpy==1.26.4", "ml_dtypes==0.5.4"),
    "onnx2tf": ("onnx2tf==1.29.24",),
    "tf2onnx": ("tf2onnx==1.17.0", "tensorflow==2.21.0", "onnxruntime==1.31.1", "ml_dtypes"),
    "litert_torch": ("litert-torch==0.10.0", "torch==2.13.0"),
    "pnnx": ("torch==2.13.0", "pnnx==20261020", "ncnn==1.0.20261020", "onnx==1.23.2", "ml_dtypes"),
    "paddle": ("paddlepaddle==3.3.1", "paddle2onnx==2.1.0", "onnxruntime==1.32.0", "ml_dtypes"),
    "tract": ("tract==0.23.9", "onnx==1.23.2", "ml_dtypes"),
    "tvm": ("apache-tvm==0.27.0.post1", "numpy", "onnx==1.23.2", "ml_dtypes"),
}
_DONE = "requirements.txt"  # what was installed, written last


def python_of(environment: str, folder: PathLike | None) -> Path | None:
    """The Python of an environment in `folder`; None where it has not been set up as it is to be."""
    if environment == BESIDE:
        return Path(sys.executable)
    if folder is None:
        return None
    home = Path(folder, environment)
    done = home / _DONE
    if not done.is_file() or done.read_text(encoding="utf-8") != _wanted(environment):
        return None
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def set_up(environment: str, folder: PathLike) -> Path:
    """Make an environment in `folder`, if it is not there yet as it is to be; returns its Python.

    Raises `UnusableInputError` with the last line that pip said where it cannot be made.
    """
    ready = python_of(environment, folder)
    if ready is not None:
        return ready
    home = Path(folder, environment)
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    for command in (
        [sys.executable, "-m", "venv", str(home)],
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            *ENVIRONMENTS[environment],
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing is said").splitlines()[-1]
            raise UnusableInputError(f"the environment '{environment}' cannot be set up: {said}")
    (home / _DONE).write_text(_wanted(environment), encoding="utf-8")
    return python


def _wanted(environment: str) -> str:
    return "\n".join(ENVIRONMENTS[environment]) + "\n"

"""What the frameworks share: things that verification can run, described alike; versions, checks and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import MissingFrameworkError, ParameterError, shown

Layout = Literal["NCHW", "NHWC"]
DTYPE_NAMES = ("float32", "float16", "bfloat16", "uint8", "int8", "int32", "int64", "bool")
FLOAT_NAMES = ("float32", "float16", "bfloat16")
ABOUT = "layoutbridge.json"  # where a file has no other place for it: what it is and where it comes from
LARGEST_COUNT = (1 << 31) - 1  # of pictures, threads: what runtimes count in 32 bits


@dataclass(frozen=True)
class Runnable:
    """One operation of a framework, ready to run on NumPy arrays.

    `run(x)` takes an array [N, C, H, W] (or [N, H, W, C], by `layout`) of one of the dtypes in `DTYPE_NAMES`
    (bfloat16 as ml_dtypes has it) and returns the framework's result as an array; `gradient(x, upstream)` returns
    the gradient with respect to x, and is None where the framework differentiates nothing here. Both may raise
    whatever the framework raises: verification reports it. `entry` is the catalogue entry that an emitted graph
    was made from, or that bears a native op's name; None where the catalogue has no such name.
    `unavailable` says why it cannot run at all in this installation.
    """

    framework: str
    version: str
    op: str
    entry: str | None
    emitted: bool
    layout: Layout
    run: Callable[[NDArray[Any]], NDArray[Any]]
    gradient: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None = None
    differentiable_dtypes: tuple[str, ...] = FLOAT_NAMES
    unavailable: str | None = None


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype called `name`; bfloat16 comes from ml_dtypes (`MissingFrameworkError` without it)."""
    if name != "bfloat16":
        return np.dtype(name)
    if find_spec("ml_dtypes") is None:
        raise MissingFrameworkError(f"bfloat16 arrays need ml_dtypes: {to_install('onnx')}")
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def installed_version(*distributions: str) -> str | None:
    """The version of the first of `distributions` that is installed, or None."""
    from importlib.metadata import PackageNotFoundError, version  # takes 20 ms

    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def check_count(what: str, value: int | None, *, may_be_open: bool = False, most: int = LARGEST_COUNT) -> None:
    """Raise `ParameterError` where `value` is no number from 1 to `most`; None is one where it `may_be_open`.

    >>> check_count("the batch", None, may_be_open=True)
    """
    if value is None and may_be_open:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        or_none = ", or None to leave it open" if may_be_open else ""
        raise ParameterError(f"{what} is a number of at least 1{or_none}, not {shown(value)}")
    if value > most:
        raise ParameterError(f"{what} is at most {most:,}, not {shown(value)}")


def require(module: str, framework: str, extra: str) -> Any:
    """Import `module`; raises `MissingFrameworkError` with the extra that brings it. A broken one says itself why.

    >>> require("json", "JSON", "json").dumps([])
    '[]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingFrameworkError(f"{framework} is not installed: {to_install(extra)}") from None


def to_install(extra: str) -> str:
    """What to type for an extra: from the package index, or from the folder or the file that layoutbridge came from.

    >>> to_install("onnx").startswith("pip install "), to_install("onnx").endswith("[onnx]'")
    (True, True)
    """
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname  # takes 50 ms

    try:
        record = distribution("layoutbridge").read_text("direct_url.json")
    except PackageNotFoundError:  # run from its folder, and not installed
        record = None
    origin = json.loads(record) if record else {}
    url = urlsplit(origin.get("url", ""))
    if url.scheme != "file":
        return f"pip install 'layoutbridge[{extra}]'"
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}'{url2pathname(url.path)}[{extra}]'"

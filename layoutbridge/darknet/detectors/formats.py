"""Which file is opened by which framework: by its ending."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from layoutbridge.darknet.detectors.opened import Opened, Size
from layoutbridge.darknet.ports.records.tuned import Settings
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError
from layoutbridge.inputs import exists, is_folder

_MODULES = {  # of this folder, by the ending
    ".onnx": "onnx",
    ".xml": "openvino",
    ".param": "ncnn",
    ".tflite": "tflite",
    ".pt2": "torch",
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
}
_OPEN = ("onnx", "openvino")  # whose files may leave the size of pictures open
_LIMITED = "onnx"  # in memory, where nobody vouches for the file
_CORE_ML = ".mlpackage"
_SAVED_MODEL = "saved_model.pb"


def open_file(
    path: str | os.PathLike[str],
    threads: int = 0,
    *,
    vouched: bool = False,
    settings: Settings | None = None,
    size: Size | None = None,
) -> Opened:
    """The model in the file or folder at `path`; `threads` 0 leaves their number to the runtime.

    `settings` are the runtime's own, by its names (`ports.records.tuned`). Where neither they nor threads are named,
    a file that was tuned on such a processor is opened with what was fastest there.
    `size` is (width, height) of pictures where an .onnx or .xml leaves them open.
    One that is `vouched` for, such as a file that was just written here, may take what memory it likes.

    Raises `ParameterError` for a `size` with other formats, `UnusableInputError` for what is there under no known
    ending or is not there, `UnsupportedError` for a package of Core ML, else as the module's `open_model` does.
    """
    ending = Path(path).suffix.lower()
    if is_folder(path) and exists(Path(path) / _SAVED_MODEL):
        module = "keras"
    elif ending in _MODULES:
        module = _MODULES[ending]
    elif ending == _CORE_ML:
        raise UnsupportedError(
            f"'{os.fspath(path)}': Core ML's packages run on Apple's machines, in programs of their own: export the "
            "network as .onnx to run it here"
        )
    else:
        told = "is a folder without a SavedModel in it" if is_folder(path) else "is no model file"
        raise UnusableInputError(f"'{os.fspath(path)}' {told}: give a .cfg with its .weights, {', '.join(_MODULES)}")
    unlimited = {"vouched": True} if vouched and module == _LIMITED else {}
    if size is not None and module not in _OPEN:
        raise ParameterError(f"'{os.fspath(path)}' has its own size: a size is for a .cfg, or an .onnx or .xml of any")
    sized = {} if size is None else {"size": size}
    if module == "keras" and settings:
        raise ParameterError("settings are for files of other runtimes: Keras has none here")
    tuned = {} if module == "keras" else {"settings": settings}
    opened: Opened = import_module(f"{__package__}.{module}").open_model(path, threads, **unlimited, **tuned, **sized)
    return opened

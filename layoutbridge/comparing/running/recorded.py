"""Outputs that were recorded elsewhere: an .npz of named arrays, in the order in which they were computed.

Darknet's own recordings have `input` and `layer00`, `layer01`, and so on; another program's may have any names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from layoutbridge.checkpoints.npz_files import read_npz
from layoutbridge.checkpoints.stored import Stored
from layoutbridge.comparing.running.feeding import wanted
from layoutbridge.errors import UnusableInputError, first_line, visible
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor

FORMAT = "recorded"
INPUT = "input"
_ARRAY = ".npy"
_NUMBERS = "fiub"
_CLOSE = 1e-6  # to an input's largest value


def read(path: PathLike) -> Graph:
    """The arrays in the .npz file at `path` as a graph: a node for each, in the file's order, which reads the input.

    How arrays depend on each other is not recorded: that each reads the input alone claims nothing, where a chain
    would make what is computed beside an array one of its results. The last is what the model gives. Arrays that are
    no numbers are passed over. Raises `UnusableInputError` for a file that is no whole .npz, or records no outputs.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "outputs.npz")
    >>> np.savez(path, input=np.zeros((3, 4, 4)), layer00=np.ones((8, 4, 4)), layer01=np.ones((8, 2, 2)))
    >>> [(node.name, node.inputs) for node in read(path).nodes]
    [('layer00', ('input',)), ('layer01', ('input',))]
    """
    told = os.path.basename(os.fspath(path))
    arrays = read_npz(path).tensors
    usable = {array.name: array for array in arrays if _is_numbers(array)}
    outputs = [name for name in usable if name != INPUT]
    if not outputs:
        raise UnusableInputError(f"'{told}' records no outputs: it needs an array of numbers for each, by its name")
    inputs = (INPUT,) if INPUT in usable else ()
    others = [array.name for array in arrays if array.name not in usable]
    return Graph(
        name=told,
        format=FORMAT,
        nodes=tuple(Node(name, FORMAT, inputs, name) for name in outputs),
        tensors={name: Tensor(name, array.shape, _dtype(array).name) for name, array in usable.items()},
        inputs=inputs,
        outputs=(outputs[-1],),
        node_count=len(outputs),
        notes=(visible(f"arrays that are no numbers were passed over: {', '.join(others)}"),) if others else (),
    )


def recorded_input(path: PathLike) -> NDArray[Any] | None:
    """The input that outputs were recorded for; None where the file does not have it. Raises as `read` does.

    >>> recorded_input("outputs.npz")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no archive 'outputs.npz'
    """
    return dict(_arrays(path, read(path).inputs)).get(INPUT)


def values(path: PathLike, graph: Graph, given: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays in the .npz file at `path`, read as `graph`, but for the input.

    Raises `UnusableInputError` where the file has another input than `given`, and as `read` does.
    """
    held = recorded_input(path)
    x = given.get(INPUT)
    if held is not None and x is not None and not _is_alike(held, x):
        raise UnusableInputError(f"'{graph.name}' was recorded for another input: give the one that is in it")
    yield from _arrays(path, wanted(graph))


def _arrays(path: PathLike, names: list[str] | tuple[str, ...]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Arrays by name; `read` has looked at their headers."""
    for name in names:
        try:
            with ZipFile(path) as archive, archive.open(name + _ARRAY) as content:
                array = np.lib.format.read_array(content, allow_pickle=False)
        except Exception as error:  # a broken archive raises whatever its parser raises
            told = first_line(error)
            raise UnusableInputError(f"'{os.fspath(path)}' is no whole archive of arrays: {told}") from None
        yield name, np.asarray(array)


def _is_numbers(array: Stored) -> bool:
    return array.itemsize is not None and _dtype(array).kind in _NUMBERS


def _dtype(array: Stored) -> np.dtype[Any]:
    try:
        return np.dtype(array.dtype).newbyteorder("=")
    except TypeError:  # records of several fields
        return np.dtype(np.void)


def _is_alike(held: NDArray[Any], x: NDArray[Any]) -> bool:
    if held.shape != np.shape(x):
        return False
    return bool(np.allclose(held, x, rtol=0, atol=_CLOSE * float(np.abs(held).max(initial=0))))

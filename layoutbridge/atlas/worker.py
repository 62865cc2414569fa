"""Runs text on arrays for whoever asks over standard input and output: it needs NumPy, and nothing of layoutbridge.

It runs in the environment of a runtime, whose Python may be another. A question is a line of JSON, and behind it the
bytes of the arrays that it names; an answer is the same.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

# Where a runtime is installed says nothing, nor does where its files were for a moment.
_SOURCES = Path(__file__).resolve().parents[2]
_OWN_FOLDERS = re.compile(
    rf"{re.escape(sys.prefix)}|{re.escape(tempfile.gettempdir())}/tmp\w{{8}}/?|{re.escape(str(_SOURCES))}/"
)


def dtype_called(name: str) -> np.dtype[Any]:
    """NumPy's dtype, or bfloat16 of ml_dtypes."""
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def read_arrays(pipe: IO[bytes], told: list[dict[str, Any]]) -> dict[str, Any]:
    """The arrays that a question names, by their names."""
    arrays = {}
    for each in told:
        dtype = dtype_called(each["dtype"])
        content = pipe.read(int(np.prod(each["shape"], dtype=np.int64)) * dtype.itemsize)
        arrays[each["name"]] = np.frombuffer(bytearray(content), dtype).reshape(each["shape"])
    return arrays


def answered(question: dict[str, Any], arrays: dict[str, Any], memory: Memory) -> Any:
    """What the code of a question leaves as `y`, or as the name that it asks for."""
    given = {"__name__": "__main__", "np": np, **question.get("numbers", {}), **arrays}
    setup = question.get("setup", "")
    with tempfile.TemporaryDirectory() as folder:
        held = memory.ready(question, given) if setup else {"folder": folder}
        held = {**held, **given}
        memory.run(question["code"], held)
        return held[question["wanted"]]


class Memory:
    """What is kept from one question to the next: text that was compiled, and the names that the last setup left."""

    def __init__(self) -> None:
        self._compiled: dict[str, Any] = {}
        self._about = ""
        self._names: dict[str, Any] = {}
        self._folder: Any = None

    def run(self, code: str, held: dict[str, Any]) -> None:
        """Run text on names."""
        if code not in self._compiled:
            self._compiled[code] = compile(code, "<cell>", "exec")
        exec(self._compiled[code], held)

    def ready(self, question: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """The names that a question's setup leaves; it is not run again for arrays of the same shape and dtype."""
        about = json.dumps([question["setup"], question.get("numbers"), question["arrays"]])
        if about != self._about:
            self._about, self._names = "", {}
            self._folder = tempfile.TemporaryDirectory()  # removed with the next one
            names = {**given, "folder": self._folder.name}
            self.run(question["setup"], names)
            self._about, self._names = about, names
        return self._names


def main() -> None:
    """Answer until standard input ends."""
    given, taken = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    quiet = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):  # what a runtime prints is no answer
        os.dup2(quiet, number)
    memory = Memory()
    while line := given.readline():
        question = json.loads(line)
        try:
            arrays = read_arrays(given, question["arrays"])
            result = answered(question, arrays, memory)
            if isinstance(result, str):
                answer: dict[str, Any] = {"text": result}
                content = b""
            else:
                array = np.ascontiguousarray(result)
                if array.dtype.hasobject:
                    raise TypeError(f"the result is of {array.dtype}")
                answer = {"dtype": array.dtype.name, "shape": list(np.shape(result))}
                content = array.tobytes()
        except BaseException as error:  # whatever a runtime raises
            said = " ".join(_OWN_FOLDERS.sub("", str(error)).split())
            answer, content = {"error": f"{type(error).__name__}: {said}"[:600]}, b""
        taken.write(json.dumps(answer).encode() + b"\n" + content)
        taken.flush()


if __name__ == "__main__":
    main()

"""Every format of a network, or several models, measured side by side: a process each, in turns."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.benchmarking.peaks import measured_peak
from layoutbridge.darknet.benchmarking.processes import Process, middle
from layoutbridge.darknet.benchmarking.roofline import Roofline, work_of
from layoutbridge.darknet.benchmarking.worker import MEMORY, Boxes, Loaded, Opening
from layoutbridge.darknet.detection.boxes import head_layers
from layoutbridge.darknet.detection.overlaps import box_iou
from layoutbridge.darknet.detection.pictures import open_picture
from layoutbridge.darknet.detectors.detector import Detector
from layoutbridge.darknet.detectors.written import deviation_of_file, reference_results
from layoutbridge.darknet.networks.network import DarknetNetwork, load
from layoutbridge.darknet.ports.port import Port
from layoutbridge.darknet.ports.records.halves import Settings, halves_of
from layoutbridge.darknet.ports.table import REFERENCE, TARGETS, port, ports
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import LayoutBridgeError, ParameterError, UnsupportedError, UnusableInputError
from layoutbridge.files import PathLike
from layoutbridge.frameworks.base import check_count, installed_version
from layoutbridge.inputs import is_folder
from layoutbridge.machine import Machine, this_machine

_OVERLAP = 0.5  # over which two boxes of a class are the same
_FORMS = ("half", "winograd")

Progress = Callable[[str], None]
_Written = tuple["FormatRow", Path | None, Settings | None]  # a format, its file, how that is run


@dataclass(frozen=True, slots=True)
class FormatRow:
    """One format: bytes of its files, seconds to load it, median seconds of a picture and the middle half's width.

    `memory` is the peak of its process in bytes, with its runtime. `deviation` is from the float64 reference, as
    `check_written` measures it. `boxes_differ` counts the boxes over 0.25 that only one of it and the reference has, of
    `boxes` that the reference has. What could not be measured is None, and `reason` says why.
    """

    name: str
    framework: str
    bytes: int | None = None
    load_seconds: float | None = None
    seconds: float | None = None
    spread: float | None = None
    memory: int | None = None
    deviation: float | None = None
    boxes: int | None = None
    boxes_differ: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """The rows, the fastest first and what did not run last; `threads` 0 is each runtime's own choice.

    `machine` is where it was measured; `roofline` what that can do at most, and the least time of the network with it:
    None of model files, and where it could not be measured.
    """

    source: str
    threads: int
    rows: tuple[FormatRow, ...]
    machine: Machine
    roofline: Roofline | None = None

    def __str__(self) -> str:
        ran = [row for row in self.rows if row.seconds is not None]
        told = ", ".join(f"{row.name} {1000 * (row.seconds or 0):.1f} ms" for row in ran)
        return f"{self.source}: {told or 'nothing ran'}"

    def to_json(self) -> str:
        """All of it as JSON; `of_direct` and `of_winograd` of a row are the least times as shares of its own."""
        told = asdict(self) | {"machine": self.machine.to_dict()}
        if self.roofline is not None:
            told["roofline"] = self.roofline.to_dict()
            for row, its in zip(self.rows, told["rows"], strict=True):
                its["of_direct"], its["of_winograd"] = self.roofline.shares(row.seconds)
        return json.dumps(told)


def benchmark(
    model: DarknetNetwork | PathLike | Sequence[PathLike],
    weights: PathLike | None = None,
    *,
    flavor: str = "alexey",
    targets: Sequence[str] | None = None,
    forms: Sequence[str] = ("winograd",),
    pictures: Sequence[PathLike] = (),
    threads: int | None = None,
    rounds: int = 9,
    progress: Progress | None = None,
) -> Benchmark:
    """Measure a network in every format whose runtime is installed, or the model files in a list.

    A network is a .cfg with its `weights`, or what `load` gives; it is written for `targets`, all by default, plain and
    in the `forms` "winograd" and "half" that a target has; with "half" also plain, computed in what the runtime has
    beside float32 on this processor, as "openvino-bfloat16". Each runs in a process of its own, and these take turns,
    as many as there are `rounds`: what else the machine does is the same for all. With `pictures` the boxes found in
    them are compared with the reference's, of a list of files with those of the first. `progress` hears what is done.

    Raises as `load` does, `UnknownNameError` for a target, `ParameterError`, `UnusableInputError` where nothing ran or
    a picture cannot be read, `UnsupportedError` for pictures with a network that finds no boxes.

    >>> nets = "fixtures/nets/alexey/yolo_head"
    >>> found = benchmark(f"{nets}/net.cfg", f"{nets}/net.weights", targets=["onnx"], forms=(), rounds=2)
    >>> [(row.name, row.bytes > 1000, row.seconds > 0, row.deviation < 1e-5) for row in found.rows]
    [('onnx', True, True, True)]
    """
    check_count("rounds", rounds)
    check_count("threads", threads, may_be_open=True)
    report = progress or (lambda _: None)
    for form in forms:
        if form not in _FORMS:
            raise ParameterError(f"forms are {' and '.join(_FORMS)}, not {form!r}")
    if isinstance(model, str | os.PathLike) and Path(model).suffix == ".cfg":
        model = load(model, weights, flavor=flavor)
    elif weights is not None:
        raise ParameterError("weights go with a .cfg")
    _check_pictures(pictures, model.network if isinstance(model, DarknetNetwork) else None)
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        if isinstance(model, DarknetNetwork):
            source, network = model.network.source, model
            rows = list(_written(model, targets, forms, Path(folder), report))
        else:
            files = [model] if isinstance(model, str | os.PathLike) else [*model]
            source, network = ", ".join(os.fspath(file) for file in files), None
            rows = [(FormatRow(os.fspath(file), "", _size_of_model(Path(file))), Path(file), None) for file in files]
        measured = _measured(rows, threads or 0, rounds, [Path(one) for one in pictures], report, network is not None)
        rows_measured = _with_boxes(measured, network, pictures, report)
        roofline = None if network is None else _roofline(network.network, threads, report)
    if all(row.seconds is None for row in rows_measured):
        raise UnusableInputError(f"nothing ran of {source}: {rows_measured[0].reason or 'no runtime is installed'}")
    order = sorted(rows_measured, key=lambda row: (row.seconds is None, row.seconds or 0))
    return Benchmark(source, threads or 0, tuple(order), this_machine(), roofline)


def _roofline(network: Network, threads: int | None, report: Progress) -> Roofline | None:
    report("measuring what this machine can do at most")
    peak = measured_peak(threads)
    return None if peak is None else Roofline(work_of(network), peak)


def _check_pictures(pictures: Sequence[PathLike], network: Network | None) -> None:
    """Raise for a picture that cannot be read, and for a network that finds no boxes, before anything is measured."""
    if pictures and network is not None:
        head_layers(network)
    for picture in pictures:
        open_picture(picture)


# ---------------------------------------------------------------------- the files


def _written(
    net: DarknetNetwork, targets: Sequence[str] | None, forms: Sequence[str], folder: Path, report: Progress
) -> Iterator[_Written]:
    """A row for each format, with its file; without one where it cannot be written or run here."""
    head = "boxes" if _finds_objects(net) else "darknet"
    report("running the reference")
    wanted = None if net.network.states else reference_results(net.network, net.parameters, head)
    for target in map(port, TARGETS if targets is None else targets):
        for form in ("", *(form for form in forms if form in target.forms)):
            name = f"{target.name}-{form}" if form else target.name
            report(f"writing {name}")
            row, path = _one_written(net, target, form, name, folder, head, wanted)
            yield row, path, None
            if path is None or form or "half" not in forms:
                continue
            for half in halves_of(target.name):
                in_half = replace(row, name=f"{target.name}-{half.name}")
                try:
                    deviation = (
                        None if wanted is None else deviation_of_file(path, net.network, head, wanted, half.settings)
                    )
                    yield replace(in_half, deviation=deviation), path, half.settings
                except LayoutBridgeError as error:
                    yield replace(in_half, reason=str(error)), None, None


def _one_written(
    net: DarknetNetwork,
    target: Port,
    form: str,
    name: str,
    folder: Path,
    head: str,
    wanted: list[NDArray[np.float64]] | None,
) -> tuple[FormatRow, Path | None]:
    row = FormatRow(name, target.name)
    if target.runner is None:
        return replace(row, reason=f"{target.title} runs elsewhere alone"), None
    if installed_version(target.runner.package) is None:
        return replace(row, reason=f"{target.runner.package} is not installed"), None
    place = folder / name
    place.mkdir()
    path = place / f"net{target.endings[0]}"
    try:
        target.write(net.network, net.parameters, path, head=head, **({form: True} if form else {}))
        deviation = None if wanted is None else deviation_of_file(path, net.network, head, wanted)
    except LayoutBridgeError as error:
        return replace(row, reason=str(error)), None
    return replace(row, bytes=_size(place), deviation=deviation), path


def _size(path: Path) -> int | None:
    files = [one for one in path.rglob("*") if one.is_file()] if is_folder(path) else [path] if path.is_file() else []
    return sum(one.stat().st_size for one in files) if files else None


def _size_of_model(path: Path) -> int | None:
    """Bytes of a model's files: those beside it, too, such as a .bin with the weights."""
    size = _size(path)
    target = next((one for one in ports() if path.suffix in one.endings), None)
    beside = () if target is None or size is None else dict.fromkeys(target.beside(path))
    return size if size is None else size + sum(_size(one) or 0 for one in beside if one != path)


def _finds_objects(net: DarknetNetwork) -> bool:
    try:
        return bool(head_layers(net.network))
    except UnsupportedError:
        return False


# ---------------------------------------------------------------------- the turns


def _measured(
    rows: Sequence[_Written],
    threads: int,
    rounds: int,
    pictures: Sequence[Path],
    report: Progress,
    vouched: bool,
) -> list[tuple[FormatRow, list[Boxes] | None]]:
    done: dict[int, FormatRow] = {}
    times: dict[int, list[float]] = {}
    found: dict[int, list[Boxes]] = {}
    with ExitStack() as stack:
        processes: dict[int, Process] = {}
        for number, (row, path, settings) in enumerate(rows):
            done[number] = row
            if path is None:
                continue
            report(f"loading {row.name}")
            process = stack.enter_context(Process(threads))
            loaded = process.open(Opening(path, threads, vouched, settings))
            if isinstance(loaded, Loaded):
                processes[number], times[number] = process, []
                done[number] = replace(row, load_seconds=loaded.seconds)
            else:
                done[number] = replace(row, reason=loaded)
        for turn in range(rounds):
            report(f"round {turn + 1} of {rounds}")
            for number in list(processes)[:: -1 if turn % 2 else 1]:
                answer = processes[number].turn(times[number][0] if times[number] else None)
                if isinstance(answer, list):
                    times[number] += answer if turn else [min(answer)]
                else:
                    done[number] = replace(done[number], reason=answer)
                    del processes[number], times[number]
        for number, process in processes.items():
            memory = process.ask(MEMORY)
            done[number] = replace(done[number], memory=memory if isinstance(memory, int) else None)
            if pictures:
                report(f"looking at pictures with {done[number].name}")
                boxes = process.ask(list(pictures))
                if isinstance(boxes, list):
                    found[number] = boxes
                else:
                    done[number] = replace(done[number], reason=str(boxes))
    for number, measured in times.items():
        seconds, spread = middle(measured)
        done[number] = replace(done[number], seconds=seconds, spread=spread)
    return [(done[number], found.get(number)) for number in range(len(rows))]


# ---------------------------------------------------------------------- the boxes


def _with_boxes(
    measured: Sequence[tuple[FormatRow, list[Boxes] | None]],
    net: DarknetNetwork | None,
    pictures: Sequence[PathLike],
    report: Progress,
) -> list[FormatRow]:
    ran = [found for _, found in measured if found is not None]
    if not ran:
        return [row for row, _ in measured]
    wanted = ran[0]
    if net is not None:
        report("looking at pictures with the reference")
        reference = Detector(net, framework=REFERENCE)
        held = [reference.detect(os.fspath(picture)) for picture in pictures]
        wanted = [(one.xywh, one.classes) for one in held]
    total = sum(len(classes) for _, classes in wanted)
    return [
        row if found is None else replace(row, boxes=total, boxes_differ=sum(map(boxes_apart, found, wanted)))
        for row, found in measured
    ]


def boxes_apart(found: Boxes, wanted: Boxes) -> int:
    """How many boxes only one of the two has: pairs of a class with an overlap of a half, the nearest first, are one.

    >>> box = np.array([[5, 5, 10, 10]], np.float32)
    >>> [boxes_apart((box, np.array([1])), (box + np.float32([1, 0, 0, 0]), np.array([number]))) for number in (1, 2)]
    [0, 2]
    """
    (boxes, classes), (others, other_classes) = found, wanted
    overlap = np.array([box_iou(box, others) for box in boxes], np.float32).reshape(len(boxes), len(others))
    overlap[classes[:, None] != other_classes[None]] = 0
    pairs = 0
    while overlap.size and overlap.max() >= _OVERLAP:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap[row], overlap[:, column] = 0, 0
        pairs += 1
    return len(boxes) + len(others) - 2 * pairs

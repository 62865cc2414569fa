"""A Darknet network as a .tflite file for LiteRT, made of the Keras model by TensorFlow's converter.

It takes and gives what the Keras model does. Batch norm is folded into the weights, in float64; the file needs none but
LiteRT's own operations, and the outputs of its signature are called by the layers' names.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.ports.keras import (
    KerasExport,
    KerasNetwork,
    as_darknets,
    as_taken,
    build_model,
    model_step,
    transposes,
)
from layoutbridge.darknet.ports.outputs import check_head
from layoutbridge.darknet.ports.port import FLOAT16, WINOGRAD, Port, Runner, first_step, over_steps
from layoutbridge.darknet.ports.provenance import BOX_UNIT, IN_SHARES, about, add_about
from layoutbridge.darknet.ports.readers import ultralytics
from layoutbridge.darknet.ports.readers.names import listed
from layoutbridge.darknet.ports.records.tuned import Tuned
from layoutbridge.darknet.ports.records.winograd import IN_HALF, WinogradUse
from layoutbridge.darknet.ports.table import LITERT
from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.rounding.tflite import int8_content
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError, UnusableInputError, first_line
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import check_count, require
from layoutbridge.frameworks.tensorflow.saving import saving
from layoutbridge.frameworks.winograd import Tile
from layoutbridge.inputs import file_size

TFLITE = ".tflite"
LABELS = "labels.txt"
# Of products for each output: XNNPACK goes through all the weights of 32 filters for each few places, and beyond this
# they do not stay in a cache of 1 MB. 3×3 filters over 1024 channels take 0.62 of the time as two over 512.
LONGEST_SUM = 9 * 640


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteExport(KerasExport):
    """What was written; `winograd` says what that form costs where it was asked for."""

    winograd: WinogradUse | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where the model moves elements, where Winograd's form stands and what it costs."""
        moved = super(TfliteExport, self).remarks  # a class with slots is not the one that a bare super() means
        return (*moved, *(() if self.winograd is None else (self.winograd.told,)))


def write_tflite(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    data_format: str = "channels_last",
    head: str = "darknet",
    batch: int | None = None,
    every_layer: bool = False,
    steps: int | None = None,
    half: bool = False,
    int8: Int8 | None = None,
    winograd: bool | Mapping[int, Tile] = False,
    runtime: str | None = None,
    names: Sequence[str] | None = None,
    tuned: Tuned | None = None,
) -> TfliteExport:
    """Write `network` to `path`, which ends in .tflite, whole or not at all.

    Model and options are those of `keras.to_model`. `batch` None stands for 1: LiteRT plans for a fixed one. `half`
    stores the weights in float16, as TensorFlow's converter does it; `int8` rounds them and what goes through the
    layers to whole numbers of 8 bits (`rounding.tflite`), which needs ai-edge-quantizer. `winograd` writes 3×3
    convolutions in Winograd's form where that is faster (`frameworks.winograd`), or those of its keys, indices of
    layers, in tiles of so many rows and columns of outputs, 2 to 6: the file holds their weights as they are
    multiplied, and is larger (the export's `winograd` has the bytes); not with `half` or `int8`. `runtime` may be
    "litert", the one that there is. Boxes are shares of the input with any head, as in Ultralytics' .tflite files.
    `names` are the classes', `tuned` the record of a measured choice. Where it comes from and how its outputs are read
    stands in `layoutbridge.json`, in a zip archive behind the model: where TensorFlow's own metadata library puts
    files, too.
    Beside it lie `metadata.json`, for Ultralytics, and the names, `labels.txt`, which Android's MetadataExtractor gives
    as an associated file.

    Raises as `keras.to_model` does, `ParameterError` for another ending or an unusable batch, `UnsupportedError` where
    LiteRT lacks an operation, and `UnusableInputError` where the file cannot be written.
    """
    target = Path(path)
    if target.suffix != TFLITE:
        raise ParameterError(f"'{target}' must end in {TFLITE}")
    if runtime not in (None, *LITERT):
        raise ParameterError(f"{TFLITE} files are for {' or '.join(LITERT)}, not for {runtime}")
    check_head(head)
    if int8 is not None and half:
        raise ParameterError("int8 rounds the weights by itself: leave out half")
    if int8 is not None and winograd:
        raise ParameterError("int8 folds and rounds the weights by itself: leave out winograd")
    if half and winograd:
        raise ParameterError(IN_HALF)
    at_once = 1 if batch is None else batch
    layout = "NHWC" if data_format == "channels_last" else "NCHW"
    told = about(network, head, names, input_layout=layout, batch=at_once, tuned=tuned)
    told |= {BOX_UNIT: IN_SHARES}

    def made() -> tuple[KerasNetwork, bytes]:
        built = build_model(
            network,
            parameters,
            data_format=data_format,
            head=head,
            every_layer=every_layer,
            batch=at_once,
            keep_batch_norm=False,
            steps=steps,
            in_shares=True,
            longest_sum=None if int8 is not None else LONGEST_SUM,
            winograd=winograd,
        )
        return built, _converted(built, half)

    if int8 is None:
        built, content = made()
    else:
        int8.check(network)
        built, content = int8.once(parameters, (data_format, head, every_layer, batch), made)
        content = int8_content(network, content, int8, channels_last=data_format == "channels_last")
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
        add_about(temporary, told, _read_by_others(told, names))
    taken = built.model.inputs[0].shape[0]
    return TfliteExport(
        path=target,
        outputs=built.shapes,
        batch=taken,
        states=built.state_shapes,
        steps=steps,
        transposes=transposes(built.model),
        winograd=built.winograd,
    )


def run_litert(
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    every_layer: bool = False,
    *,
    half: bool = False,
    winograd: bool | Mapping[int, Tile] = False,
) -> list[NDArray[np.float32]]:
    """What `keras.run_keras` returns, computed by LiteRT from the .tflite file, picture after picture.

    Raises as `write_tflite` and `run_tflite` do.
    """
    if network.states:
        run = partial(run_litert_sequence, half=half, winograd=winograd)
        return first_step(run, network, parameters, x, every_layer)
    built = _to_run(network, parameters, 1, every_layer=every_layer, winograd=winograd)
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "net.tflite"
        path.write_bytes(_converted(built, half))
        results = run_tflite(path, x)
    return [as_darknets(results[output.name], output) for output in built.outputs]


def run_litert_sequence(
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    every_layer: bool = False,
    *,
    half: bool = False,
    winograd: bool | Mapping[int, Tile] = False,
) -> list[NDArray[np.float32]]:
    """The outputs [T, N, ...] of a recurrent network for x [T, N, ...] in LiteRT, step after step from zeros.

    The rest is as for `run_litert`.
    """
    built = _to_run(network, parameters, x.shape[1], every_layer=every_layer, winograd=winograd)
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "net.tflite"
        path.write_bytes(_converted(built, half))
        runner = opened(path, threads=2)

        def run(inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
            with refusals_to_run(path):
                results = runner(**dict(zip(("input", *built.states), inputs, strict=True)))
            return [results[output.name] for output in built.outputs]

        return over_steps(network, x, partial(model_step, built, "channels_last", run))


def _to_run(
    network: Network, parameters: Arrays, batch: int, *, every_layer: bool, winograd: bool | Mapping[int, Tile]
) -> KerasNetwork:
    """The model of all layers' outputs, or of the last one's, that LiteRT then runs."""
    _require_litert()
    layers = range(len(network.layers)) if every_layer else [len(network.layers) - 1]
    return build_model(
        network,
        parameters,
        layers=layers,
        batch=batch,
        keep_batch_norm=False,
        longest_sum=LONGEST_SUM,
        winograd=winograd,
    )


def run_tflite(
    path: str | os.PathLike[str], x: NDArray[Any], threads: int = 2, data_format: str = "channels_last"
) -> dict[str, NDArray[np.float32]]:
    """The outputs by name of a file of `write_tflite` for x [N, C, H, W] (or [N, K]), as the file gives them.

    `data_format` is that of the file, which runs as often as its own batch goes into N. Raises `ShapeError` for an
    `x` that does not fit, `ParameterError` for an unusable number of threads, `UnusableInputError` where LiteRT does
    not load or run the file, and `MissingFrameworkError` without LiteRT.
    """
    check_count("threads", threads)
    given = as_taken(x, data_format)
    runner = opened(path, threads)
    with refusals_to_run(path):
        inputs = runner.get_input_details()
    if not inputs:
        raise UnusableInputError(f"'{os.fspath(path)}' takes no input")
    (name, taken), *states = inputs.items()
    if states:
        raise ParameterError(
            f"'{os.fspath(path)}' is one step of a recurrent network: it takes {len(states)} states, too"
        )
    batch, *rest = (int(length) for length in taken["shape"]) if len(taken["shape"]) else (0,)
    if batch < 1:
        raise UnusableInputError(f"'{os.fspath(path)}' takes an input of shape {list(taken['shape'])}, without a batch")
    if list(given.shape[1:]) != rest or len(given) < 1 or len(given) % batch:
        raise ShapeError(f"the file takes [{batch}, {', '.join(map(str, rest))}], not {list(given.shape)}")
    with refusals_to_run(path):
        made = [runner(**{name: given[k : k + batch]}) for k in range(0, len(given), batch)]
    names = sorted(made[0], key=lambda output: (int(output.split("_")[0]) if output[0].isdigit() else -1, output))
    return {output: np.concatenate([part[output] for part in made]) for output in names}


def opened(path: str | os.PathLike[str], threads: int) -> Any:
    """What runs the signature of the file."""
    interpreter_of = _require_litert()
    file_size(path)
    try:
        interpreter = interpreter_of(model_path=os.fspath(path), num_threads=threads)
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner()
    except (ValueError, RuntimeError, OSError) as error:
        raise UnusableInputError(f"LiteRT cannot load '{os.fspath(path)}': {first_line(error)}") from None


@contextmanager
def refusals_to_run(path: str | os.PathLike[str]) -> Iterator[None]:
    """`UnusableInputError` with LiteRT's own words for what it raises."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise UnusableInputError(f"LiteRT cannot run '{os.fspath(path)}': {first_line(error)}") from None


# ---------------------------------------------------------------------- the conversion


def _converted(built: KerasNetwork, half: bool) -> bytes:
    """The model as a .tflite file."""
    import tensorflow as tf

    model = built.model
    holder = tf.Module()  # tells the converter which variables to turn into constants
    holder.variables_held = [variable.value for variable in model.variables]

    def run(*given: Any) -> dict[str, Any]:
        results = model(list(given) if len(given) > 1 else given[0], training=False)
        tensors = results if isinstance(results, list) else [results]
        return {output.name: tensor for output, tensor in zip(built.outputs, tensors, strict=True)}

    names = ("input", *built.states)
    taken = [tf.TensorSpec(x.shape, tf.float32, name=name) for x, name in zip(model.inputs, names, strict=True)]
    function = tf.function(run, autograph=False).get_concrete_function(*taken)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        with saving():
            return bytes(converter.convert())
    except Exception as error:  # the converter's own class is not public
        raise UnsupportedError(_why_not_converted(str(error), built)) from None


def _why_not_converted(text: str, built: KerasNetwork) -> str:
    """One line of the many that LiteRT's converter writes, without its places in programs."""
    batch = built.model.inputs[0].shape[0]
    advice = "; batch 1 may work" if batch > 1 else ""
    lacking = dict.fromkeys(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", text))
    if lacking:
        return (
            f"LiteRT has no operation for TensorFlow's {' and '.join(lacking)} as {built.model.name} needs it{advice}"
        )
    said = text.strip().split("\n")[0].split("error: ")[-1]
    said = re.sub(r"\S*[/\\]\S*(:\d+)+:?\s*", "", said)[:300]
    return f"LiteRT's converter cannot take {built.model.name}: {said or 'it does not say why'}{advice}"


def _read_by_others(told: Mapping[str, str], names: Sequence[str] | None) -> dict[str, str]:
    """Members of the archive, the first of which older programs take whatever it is called."""
    labels = {} if names is None else {LABELS: listed(names)}
    return {ultralytics.JSON: ultralytics.as_json(told), **labels}


def _require_litert() -> Any:
    return require("ai_edge_litert.interpreter", "LiteRT", "litert").Interpreter


# ---------------------------------------------------------------------- the record


def _runner(tolerance: float, heading: str, *, half: bool = False, winograd: bool = False) -> Runner:
    run = partial(run_litert, half=half, winograd=winograd)
    run_sequence = partial(run_litert_sequence, half=half, winograd=winograd)
    return Runner(run, run_sequence, PACKAGE, tolerance, heading)


PACKAGE = "ai-edge-litert"
PORT = Port(
    "tflite",
    "LiteRT",
    (TFLITE,),
    write_tflite,
    Runner(run_litert, run_litert_sequence, PACKAGE, heading="lite"),
    {"half": _runner(FLOAT16, "lth", half=True), "winograd": _runner(WINOGRAD, "ltw", winograd=True)},
    runtimes=LITERT,
    tiles=((2, 2), (4, 4)),  # a file takes seconds to be written
)

"""A Darknet network for Core ML: an .mlpackage, written by coremltools on any system.

Apple's machines alone run it. It takes `input`, float32 [N, C, H, W] of RGB in 0..1 (or [N, K]) with N fixed, and gives
the outputs of a head, float32. Names in Core ML begin with a letter: the output of `30_yolo` is called `layer_30_yolo`.
Batch norm is folded into the weights in float64.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from layoutbridge.darknet.meaning import Arrays, Memory, check_kinds, write_layers
from layoutbridge.darknet.ports.outputs import check_head, head_outputs
from layoutbridge.darknet.ports.port import Export, Port, next_state, state_name, state_shapes
from layoutbridge.darknet.ports.provenance import about, file_sha256
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError, first_line
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import check_count
from layoutbridge.frameworks.coreml.start_up import load_coremltools, unheard

PACKAGE = ".mlpackage"
_MOST_AT_ONCE = 1024


class CoremlExport(Export):
    """What was written: a package, and its outputs."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What it runs on."""
        return ("for macOS 12, iOS 15 and later; it is not run here",)


def write_coreml(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    head: str = "darknet",
    batch: int | None = None,
    every_layer: bool = False,
    half: bool = False,
    names: Sequence[str] | None = None,
    sources: Mapping[str, str | os.PathLike[str]] | None = None,
) -> CoremlExport:
    """Write `network` with `parameters` ((layer index, name) to float32 array) to `path`; whole or not at all.

    `path` ends in .mlpackage, which is a folder. `head` is as for ONNX (`ports.outputs`); `every_layer` adds all
    layers' outputs; `batch` None stands for 1. Weights and arithmetic are float32, or with `half` float16, the only
    ones that Apple's Neural Engine has; inputs and outputs stay float32. `names` are the classes'. Where it comes from,
    how its outputs are read, what Ultralytics reads, and the SHA-256 of `sources` ("cfg" and "weights" to paths) stand
    in the model's user-defined metadata. Of a recurrent network it is one step: beside `input` it takes its states, as
    `state_0_lstm_cell`, and gives those behind the step, as `state_0_lstm_cell_next`.

    Raises `UnsupportedError` for what Core ML cannot express, with the cfg's line; `ParameterError` for another ending
    or an unusable batch, `UnknownNameError` for a head, `UnusableInputError` where the folder cannot be written, and
    `MissingFrameworkError` without coremltools.
    """
    target_path = Path(path)
    if target_path.suffix != PACKAGE:
        raise ParameterError(f"'{target_path}' must end in {PACKAGE}: Core ML's packages do")
    check_head(head)
    check_kinds(network)
    check_count("the batch", batch, most=_MOST_AT_ONCE, may_be_open=True)
    batch = 1 if batch is None else batch
    told = about(network, head, names, batch=batch)
    told |= {f"{kind}_sha256": file_sha256(file) for kind, file in (sources or {}).items()}
    coremltools = load_coremltools()
    from layoutbridge.frameworks.coreml.target import CoremlTarget, opset

    target = CoremlTarget(network.in_shape, batch, state_shapes(network))
    with target.building():
        before = {(layer.index, s.name): target.states[state_name(layer, s)] for layer, s in network.states}
        memory = Memory(before=before)
        values = write_layers(target, network, parameters, target.input, memory=memory)
        outputs = {
            output_name(one.name): one.value for one in head_outputs(target, network, target.input, values, head)
        }
        if every_layer:
            outputs |= {output_name(layer.name): value for layer, value in zip(network.layers, values, strict=True)}
        shapes = {name: value.shape for name, value in outputs.items()}
        outputs |= {next_state(state_name(layer, s)): memory.after[layer.index, s.name] for layer, s in network.states}
        program = target.program(outputs)
    precision = coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32
    with unheard():
        try:
            model = coremltools.convert(
                program,
                convert_to="mlprogram",
                compute_precision=precision,
                minimum_deployment_target=opset(),
                skip_model_load=True,
            )
        except Exception as error:  # its passes fail in many ways
            raise UnsupportedError(f"coremltools cannot take {network.source}: {first_line(error)}") from None
        model.short_description = f"Darknet network {network.source}, flavor {network.flavor}"
        model.user_defined_metadata.update(told)
        with whole_file(path) as temporary:
            try:
                model.save(os.fspath(temporary))
            except (OSError, RuntimeError) as error:  # its own writer raises RuntimeError for a full disk
                raise UnusableInputError(f"cannot write '{target_path}': {first_line(error)}") from None
    return CoremlExport(path=target_path, outputs=shapes, batch=batch, states=state_shapes(network))


def output_name(name: str) -> str:
    """What Core ML calls an output: its names begin with a letter.

    >>> output_name("30_yolo"), output_name("boxes")
    ('layer_30_yolo', 'boxes')
    """
    return f"layer_{name}" if name[:1].isdigit() else name


# ---------------------------------------------------------------------- the record

PORT = Port("coreml", "Core ML", (PACKAGE,), write_coreml)

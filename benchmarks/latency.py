"""One runtime with one network, in a process of its own: `python -m benchmarks.latency FORM FOLDER`.

The folder holds net.cfg and net.weights, x.npy and reference.npz (what each detection layer should give, in float64).
After loading, a line of JSON tells seconds, the deviation from the reference and peak memory; then each line on
standard input is answered by the milliseconds of a few runs. Two threads, float32 throughout.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

THREADS = 2
REPEATS = 3  # runs a round, after one that is not counted
LONG = 0.15  # seconds of a run that is made once a round
OPENCV_4 = "opencv4"  # the folder in the environment that holds OpenCV 4.14, whose importer of Darknet OpenCV 5 lacks
YOLO_CHANNELS = 255  # of YOLOv4-tiny's heads
Run = Callable[[], Sequence[NDArray[Any]]]


def opencv_darknet(folder: Path, x: NDArray[np.float32], file: str = "") -> tuple[Run, Run]:
    """OpenCV 4.14's own importer; its detection layers decode boxes, so what goes into them is compared."""
    sys.path.insert(0, str(Path(sys.prefix) / OPENCV_4))
    import cv2

    cv2.setNumThreads(THREADS)
    net = cv2.dnn.readNetFromDarknet(str(folder / "net.cfg"), str(folder / "net.weights"))
    heads, raw = net.getUnconnectedOutLayersNames(), json.loads((folder / "raw.json").read_text())
    compared = [f"conv_{index}" for index in raw] or heads

    def outputs(names: Sequence[str]) -> Any:
        net.setInput(x)
        return net.forward(names)

    return (lambda: outputs(heads)), (lambda: outputs(compared))


def opencv_onnx(folder: Path, x: NDArray[np.float32], file: str) -> tuple[Run, Run]:
    """OpenCV 5 with the exported model."""
    import cv2

    cv2.setNumThreads(THREADS)
    net = cv2.dnn.readNetFromONNX(str(folder / file))
    names = net.getUnconnectedOutLayersNames()

    def run() -> Any:
        net.setInput(x)
        return net.forward(names)

    return run, run


def onnxruntime(folder: Path, x: NDArray[np.float32], file: str) -> tuple[Run, Run]:
    """The exported model in onnxruntime, its settings left as they are but for the threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 4
    session = ort.InferenceSession(folder / file, options, providers=["CPUExecutionProvider"])
    run = lambda: session.run(None, {"input": x})  # noqa: E731
    return run, run


def openvino(folder: Path, x: NDArray[np.float32], file: str) -> tuple[Run, Run]:
    """OpenVINO, told to stay in float32."""
    import openvino as ov

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    model = ov.Core().compile_model(str(folder / file), "CPU", settings)
    request = model.create_infer_request()
    run = lambda: list(request.infer({0: x}).values())  # noqa: E731
    return run, run


def ncnn(folder: Path, x: NDArray[np.float32], file: str) -> tuple[Run, Run]:
    """ncnn's own package, kept to float32."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = THREADS
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "bf16_packed"):
        setattr(net.opt, f"use_{option}", False)
    net.load_param(str(folder / file))
    net.load_model(str((folder / file).with_suffix(".bin")))
    names = net.output_names()

    def run() -> Any:
        with net.create_extractor() as extractor:
            extractor.input("input", ncnn.Mat(x[0]).clone())
            return [np.array(extractor.extract(name)[1])[None] for name in names]

    return run, run


def torch(
    folder: Path, x: NDArray[np.float32], file: str = "", *, compiled: bool = False, for_inference: bool = False
) -> tuple[Run, Run]:
    """The module of `to_torch` in PyTorch, channels last in memory."""
    import torch

    from layoutbridge.darknet import load

    torch.set_num_threads(THREADS)
    module = load(folder / "net.cfg", folder / "net.weights").to_torch(for_inference=for_inference).eval()
    module = module.to(memory_format=torch.channels_last)
    heads = json.loads((folder / "outputs.json").read_text())
    called = torch.compile(module) if compiled else module
    taken = torch.from_numpy(x).to(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            outputs = called(taken, every_layer=True)
            return [outputs[index].numpy() for index in heads]

    return run, run


def litert(folder: Path, x: NDArray[np.float32], file: str) -> tuple[Run, Run]:
    """LiteRT's interpreter with its XNNPACK kernels, channels last."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / file), num_threads=THREADS)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]["index"]
    given = [detail["index"] for detail in interpreter.get_output_details()]
    turned = np.ascontiguousarray(x.transpose(0, 2, 3, 1))

    def run() -> Any:
        interpreter.set_tensor(taken, turned)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in given]

    def channels_first(y: NDArray[Any]) -> NDArray[Any]:
        """[yolo] comes out with its channels last; the main fork's [region] lies so in Darknet, too."""
        return y.transpose(0, 3, 1, 2) if y.shape[-1] == YOLO_CHANNELS else y

    return run, (lambda: [channels_first(y) for y in run()])


def opened(folder: Path, x: NDArray[np.float32], file: str) -> tuple[Run, Run]:
    """A file as `Detector` opens it: with the threads and settings that are recorded in it."""
    from layoutbridge.darknet.detectors.formats import open_file

    model = open_file(folder / file, vouched=True)
    run = lambda: list(model.run(x).values())  # noqa: E731
    return run, run


@dataclass(frozen=True)
class Form:
    """A form to measure: a name, the runtime that it belongs to, how it is loaded, and how its files are written.

    `file` is the name of what `write` writes into the folder, if anything; `plain` is the form of the same runtime
    that this one must not be slower than. One that is `limited` takes minutes to be written, and is for the networks
    that have limits.
    """

    name: str
    runtime: str
    load: Callable[[Path, NDArray[np.float32], str], tuple[Run, Run]]
    file: str = ""
    write: Callable[[Any, Path], object] = lambda net, path: None
    plain: str = ""
    limited: bool = False


def _onnx(**options: Any) -> Callable[[Any, Path], object]:
    return lambda net, path: net.to_onnx(path, batch=1, **options)


def _written(target: str, **options: Any) -> Callable[[Any, Path], object]:
    def write(net: Any, path: Path) -> None:
        from layoutbridge.darknet.ports.table import port

        port(target).write(net.network, net.parameters, path, head="darknet", **options)

    return write


def _int8(target: str) -> Callable[[Any, Path], object]:
    """As `quantize` rounds over drawn pictures: with drawn weights it may leave layers in float32, or change boxes."""

    def write(net: Any, path: Path) -> None:
        from layoutbridge.darknet import quantize

        pictures = np.random.default_rng(2).random((4, *net.network.in_shape), np.float32)
        quantize(net, path, pictures, to=target, options={"batch": 1})

    return write


def _tuned(target: str) -> Callable[[Any, Path], object]:
    def write(net: Any, path: Path) -> None:
        from layoutbridge.darknet import tune, write_tuned

        found = tune(net, targets=[target], threads=THREADS)
        print(f"tuned: {found}", file=sys.stderr)
        write_tuned(net, path, found)

    return write


_FORMS = (  # the base first, then it once more
    Form("OpenCV 4.14, its importer", "OpenCV 4.14", opencv_darknet),
    Form("the same once more", "OpenCV 4.14", opencv_darknet),
    Form("ncnn", "ncnn", ncnn, "net.param", _written("ncnn")),
    Form("onnxruntime", "onnxruntime", onnxruntime, "ort.onnx", _onnx(runtime="onnxruntime")),
    Form(
        "onnxruntime, Winograd", "onnxruntime", onnxruntime, "ort-winograd.onnx",
        _onnx(runtime="onnxruntime", winograd=True), plain="onnxruntime",
    ),
    Form(
        "onnxruntime, Winograd stored", "onnxruntime", onnxruntime, "ort-stored.onnx",
        _onnx(runtime="onnxruntime", winograd=True, store_winograd=True), plain="onnxruntime",
    ),
    Form("OpenVINO", "OpenVINO", openvino, "openvino.onnx", _onnx(runtime="openvino")),
    Form(
        "OpenVINO, Winograd", "OpenVINO", openvino, "openvino-winograd.onnx",
        _onnx(runtime="openvino", winograd=True), plain="OpenVINO",
    ),
    Form(
        "OpenVINO, Winograd stored", "OpenVINO", openvino, "openvino-stored.onnx",
        _onnx(runtime="openvino", winograd=True, store_winograd=True), plain="OpenVINO",
    ),
    Form(
        "onnxruntime, --for auto", "onnxruntime", opened, "auto.onnx", _tuned("onnx"), plain="onnxruntime", limited=True
    ),
    Form("OpenVINO, --for auto", "OpenVINO", opened, "auto.xml", _tuned("openvino"), plain="OpenVINO", limited=True),
    Form("onnxruntime, int8", "int8", onnxruntime, "int8.onnx", _int8("onnx"), limited=True),
    Form("OpenVINO, int8", "int8", openvino, "int8.xml", _int8("openvino"), limited=True),
    Form("OpenCV 5", "OpenCV 5", opencv_onnx, "opencv.onnx", _onnx(runtime="opencv")),
    Form(
        "OpenCV 5, Winograd", "OpenCV 5", opencv_onnx, "opencv-winograd.onnx",
        _onnx(runtime="opencv", winograd=True), plain="OpenCV 5",
    ),
    Form("LiteRT", "LiteRT", litert, "net.tflite", _written("tflite")),
    Form(
        "LiteRT, Winograd", "LiteRT", litert, "winograd.tflite", _written("tflite", winograd=True), plain="LiteRT"
    ),
    Form("PyTorch", "PyTorch", torch),
    Form("PyTorch, compiled", "PyTorch", partial(torch, compiled=True), plain="PyTorch"),
    Form("PyTorch, for inference", "PyTorch", partial(torch, for_inference=True), plain="PyTorch"),
)  # fmt: skip
FORMS = {form.name: form for form in _FORMS}


def main(form: str, folder: Path) -> None:
    """Load, tell, and run at every line."""
    x = np.load(folder / "x.npy")
    start = time.perf_counter()
    measured = FORMS[form]
    run, compared = measured.load(folder, x, measured.file)
    run()
    load = time.perf_counter() - start
    wanted = np.load(folder / ("raw.npz" if measured.load is opencv_darknet else "reference.npz"))
    found = sorted((np.asarray(output) for output in compared()), key=lambda output: output.size)
    right = sorted((wanted[name] for name in wanted.files), key=lambda output: output.size)
    deviation = max(
        float(np.abs(one.reshape(other.shape) - other).max() / np.abs(other).max())
        for one, other in zip(found, right, strict=True)
    )
    answer = {"load": load, "deviation": deviation, "memory": _peak()}
    print(json.dumps(answer), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()  # not counted: the caches held another's
        repeats, times = REPEATS if time.perf_counter() - start < LONG else 1, []
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(json.dumps(float(np.median(times)) * 1000), flush=True)


def _peak() -> float:
    """MB of this process at its largest."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = str(THREADS)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    main(sys.argv[1], Path(sys.argv[2]))

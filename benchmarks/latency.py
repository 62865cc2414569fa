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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

THREADS = 2
REPEATS = 3  # runs a round, after one that is not counted
OPENCV_4 = "opencv4"  # the folder in the environment that holds OpenCV 4.14, whose importer of Darknet OpenCV 5 lacks
YOLO_CHANNELS = 255  # of YOLOv4-tiny's heads
Run = Callable[[], Sequence[NDArray[Any]]]


def opencv_darknet(folder: Path, x: NDArray[np.float32]) -> tuple[Run, Run]:
    """OpenCV 4.14's own importer; its detection layers decode boxes, so what goes into them is compared."""
    sys.path.insert(0, str(Path(sys.prefix) / OPENCV_4))
    import cv2

    cv2.setNumThreads(THREADS)
    net = cv2.dnn.readNetFromDarknet(str(folder / "net.cfg"), str(folder / "net.weights"))
    heads, raw = net.getUnconnectedOutLayersNames(), json.loads((folder / "raw.json").read_text())

    def outputs(names: Sequence[str]) -> Any:
        net.setInput(x)
        return net.forward(names)

    return (lambda: outputs(heads)), (lambda: outputs([f"conv_{index}" for index in raw]))


def opencv_onnx(folder: Path, x: NDArray[np.float32], file: str = "opencv.onnx") -> tuple[Run, Run]:
    """OpenCV 5 with the exported model."""
    import cv2

    cv2.setNumThreads(THREADS)
    net = cv2.dnn.readNetFromONNX(str(folder / file))
    names = net.getUnconnectedOutLayersNames()

    def run() -> Any:
        net.setInput(x)
        return net.forward(names)

    return run, run


def onnxruntime(folder: Path, x: NDArray[np.float32], file: str = "onnxruntime.onnx") -> tuple[Run, Run]:
    """The exported model in onnxruntime, its settings left as they are but for the threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 4
    session = ort.InferenceSession(folder / file, options, providers=["CPUExecutionProvider"])
    run = lambda: session.run(None, {"input": x})  # noqa: E731
    return run, run


def openvino(folder: Path, x: NDArray[np.float32], file: str = "openvino.onnx") -> tuple[Run, Run]:
    """OpenVINO, told to stay in float32."""
    import openvino as ov

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    model = ov.Core().compile_model(str(folder / file), "CPU", settings)
    request = model.create_infer_request()
    run = lambda: list(request.infer({0: x}).values())  # noqa: E731
    return run, run


def ncnn(folder: Path, x: NDArray[np.float32]) -> tuple[Run, Run]:
    """ncnn's own package, kept to float32."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = THREADS
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "bf16_packed"):
        setattr(net.opt, f"use_{option}", False)
    net.load_param(str(folder / "net.param"))
    net.load_model(str(folder / "net.bin"))
    names = net.output_names()

    def run() -> Any:
        with net.create_extractor() as extractor:
            extractor.input("input", ncnn.Mat(x[0]).clone())
            return [np.array(extractor.extract(name)[1])[None] for name in names]

    return run, run


def torch(folder: Path, x: NDArray[np.float32], compiled: bool = False, for_inference: bool = False) -> tuple[Run, Run]:
    """The module of `to_torch` in PyTorch, channels last in memory."""
    import torch

    from layoutbridge.darknet import load

    torch.set_num_threads(THREADS)
    module = load(folder / "net.cfg", folder / "net.weights").to_torch(for_inference=for_inference).eval()
    module = module.to(memory_format=torch.channels_last)
    heads = [index for index, layer in enumerate(module.layers) if layer.kind in ("region", "yolo")]
    called = torch.compile(module) if compiled else module
    taken = torch.from_numpy(x).to(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            outputs = called(taken, every_layer=True)
            return [outputs[index].numpy() for index in heads]

    return run, run


def litert(folder: Path, x: NDArray[np.float32]) -> tuple[Run, Run]:
    """LiteRT's interpreter with its XNNPACK kernels, channels last."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "net.tflite"), num_threads=THREADS)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]["index"]
    given = [detail["index"] for detail in interpreter.get_output_details()]
    turned = np.ascontiguousarray(x.transpose(0, 2, 3, 1))

    def run() -> Any:
        interpreter.set_tensor(taken, turned)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in given]

    # [yolo] comes out with its channels last; the main fork's [region] lies so in Darknet, too
    return run, (lambda: [y.transpose(0, 3, 1, 2) if y.shape[3] == YOLO_CHANNELS else y for y in run()])


FORMS: dict[str, Callable[[Path, NDArray[np.float32]], tuple[Run, Run]]] = {
    "OpenCV 4.14, its importer": opencv_darknet,
    "the same once more": opencv_darknet,
    "ncnn": ncnn,
    "onnxruntime": onnxruntime,
    "onnxruntime, Winograd": partial(onnxruntime, file="onnxruntime-winograd.onnx"),
    "OpenVINO": openvino,
    "OpenVINO, Winograd": partial(openvino, file="openvino-winograd.onnx"),
    "OpenCV 5": opencv_onnx,
    "OpenCV 5, Winograd": partial(opencv_onnx, file="opencv-winograd.onnx"),
    "LiteRT": litert,
    "PyTorch, compiled": partial(torch, compiled=True),
    "PyTorch": torch,
    "PyTorch, for inference": partial(torch, for_inference=True),
}


def main(form: str, folder: Path) -> None:
    """Load, tell, and run at every line."""
    x = np.load(folder / "x.npy")
    start = time.perf_counter()
    run, compared = FORMS[form](folder, x)
    run()
    load = time.perf_counter() - start
    wanted = np.load(folder / ("raw.npz" if FORMS[form] is opencv_darknet else "reference.npz"))
    found = sorted((np.asarray(output) for output in compared()), key=lambda output: output.size)
    right = sorted((wanted[name] for name in wanted.files), key=lambda output: output.size)
    deviation = max(
        float(np.abs(one.reshape(other.shape) - other).max() / np.abs(other).max())
        for one, other in zip(found, right, strict=True)
    )
    answer = {"load": load, "deviation": deviation, "memory": _peak()}
    print(json.dumps(answer), flush=True)
    for _ in sys.stdin:
        run()
        times = []
        for _ in range(REPEATS):
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

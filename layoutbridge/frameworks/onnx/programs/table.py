"""Programs that read ONNX models, by name: the forms that run fastest there, or the limits that their makers tell.

A limit stands here where somebody who runs into it can look it up; what is not written down anywhere is left out. Of
operators that a program lacks those are named that we write. `--max-rank` and `--without` add what is missing.
"""

from __future__ import annotations

from difflib import get_close_matches

from layoutbridge.errors import UnknownNameError, shown
from layoutbridge.frameworks.onnx.programs.forms import RUNTIMES
from layoutbridge.frameworks.onnx.programs.limits import Limits
from layoutbridge.frameworks.onnx.programs.opencv import opencvs
from layoutbridge.frameworks.onnx.programs.profile import Documented, Profile, without, without_option

_ONNXRUNTIME = "https://github.com/microsoft/onnxruntime"
_HAILO = "https://community.hailo.ai/t/parsing-yolo-models-with-the-hailo-dataflow-compiler-tool"
_ROCKCHIP = "https://github.com/airockchip/rknn-toolkit2/blob/master/doc"


PROFILES = {
    "qnn": Profile(
        "Qualcomm AI Engine Direct",
        (Documented(Limits(max_rank=5), f"{_ONNXRUNTIME}/pull/26338", "QNN has no tensors of six axes"),),
    ),
    "hailo": Profile(
        "Hailo Dataflow Compiler",
        (
            Documented(
                Limits(max_opset=20),
                "https://community.hailo.ai/t/erroe-while-converting-onnx-model-to-hef/5357",
                "its checker refuses IR version 10, which begins at opset 21",
            ),
        ),
        tuple(
            without_option(option, f"{_HAILO}/2384", "it takes the convolutions before what decodes boxes")
            for option in ("nms", "head of boxes")
        ),
        batch=1,
        head="raw",
    ),
    "rknn": Profile(
        "Rockchip RKNN Toolkit2",
        (
            Documented(
                without(
                    *("Ceil", "CumSum", "Einsum", "GatherND", "Loop", "NonMaxSuppression", "NonZero", "Not", "Or"),
                    *("Selu", "TopK"),
                ),
                f"{_ROCKCHIP}/RKNNToolKit2_OP_Support-v2.1.0.md",
                "Not Supported",
            ),
            Documented(
                Limits(max_opset=19), f"{_ROCKCHIP}/RKNNToolKit2_OP_Support-v2.1.0.md", "the opset version is 19"
            ),
        ),
        batch=1,
        head="raw",
    ),
    "tensorrt": Profile(
        "NVIDIA TensorRT",
        (
            Documented(
                Limits(max_rank=8),
                "https://docs.nvidia.com/deeplearning/tensorrt/api/c_api/classnvinfer1_1_1_dims64.html",
                "MAX_DIMS is 8",
            ),
        ),
        head_with_nms="efficient_nms",
    ),
    "deepstream": Profile(
        "NVIDIA DeepStream, by DeepStream-Yolo",
        (
            Documented(
                Limits(max_rank=8),
                "https://docs.nvidia.com/deeplearning/tensorrt/api/c_api/classnvinfer1_1_1_dims64.html",
                "MAX_DIMS is 8",
            ),
        ),
        (
            without_option(
                "nms",
                "https://github.com/marcoslucianops/DeepStream-Yolo/blob/master/config_infer_primary_yoloV8.txt",
                "its cluster-mode suppresses boxes",
            ),
        ),
        head="deepstream",
    ),
    "barracuda": Profile(
        "Unity Barracuda",
        (
            Documented(
                without("CumSum", "Einsum", "GatherND", "GRU", "Loop", "LSTM", "Softplus"),
                "https://docs.unity3d.com/Packages/com.unity.barracuda@2.0/manual/SupportedOperators.html",
                "not among the supported operators, or for ML-Agents alone",
            ),
        ),
        (
            Documented(
                Limits(max_opset=12),
                "https://github.com/Unity-Technologies/barracuda-release/issues/271",
                "it reads no sizes of Split of opset 13, and opset 9 is advised",
            ),
        ),
        opset=9,
    ),
    "coreml": Profile(
        "Core ML, in onnxruntime",
        (Documented(Limits(max_rank=5), f"{_ONNXRUNTIME}/pull/17086", "inputs of more than five axes are rejected"),),
    ),
    "tidl": Profile(
        "Texas Instruments TIDL",
        (
            Documented(
                Limits(max_rank=4),
                "https://github.com/TexasInstruments/edgeai-yolov5/issues/6",
                "its importer: 5 axes are not supported",
            ),
        ),
    ),
    **opencvs(),
    "opset11": Profile(
        "what reads opset 11 at most",
        (Documented(Limits(max_opset=11), "https://onnx.ai/onnx/repo-docs/Versioning.html", "opset 11 is ONNX 1.6"),),
    ),
}


def profile_of(runtime: str | None) -> Profile:
    """The program called so, with the forms that run fastest there and its limits; plain and none without a name.

    Raises `UnknownNameError` with the nearest names.

    >>> profile_of("onnxruntime").limits.told, profile_of(None).title
    ('no limits', 'any')
    >>> profile_of("tensorrt").limits
    Limits(max_rank=8, without=frozenset(), max_opset=None)
    """
    if runtime is None:
        return Profile("any")
    if isinstance(runtime, str) and runtime in RUNTIMES:
        return Profile(runtime, forms=RUNTIMES[runtime])
    if isinstance(runtime, str) and runtime in PROFILES:
        return PROFILES[runtime]
    names = (*RUNTIMES, *PROFILES)
    near = get_close_matches(runtime[:80], names, n=1, cutoff=0.6) if isinstance(runtime, str) else ()
    meant = f"; did you mean {near[0]}?" if near else f"; there is {', '.join(names)}"
    raise UnknownNameError(f"no runtime of ONNX models is called {shown(runtime)}{meant}")

"""Programs that read ONNX models, by name: the forms that run fastest there, or the limits that their makers tell.

A limit stands here where somebody who runs into it can look it up; what is not written down anywhere is left out. Of
operators that a program lacks those are named that we write. `--max-rank` and `--without` add what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from operator import or_

from layoutbridge.errors import UnknownNameError, shown
from layoutbridge.frameworks.onnx.forms import PLAIN, RUNTIMES, Forms
from layoutbridge.frameworks.onnx.limits import UNLIMITED, Limits

_OPENCV, _ONNXRUNTIME = "https://github.com/opencv/opencv", "https://github.com/microsoft/onnxruntime"
_ROCKCHIP = "https://github.com/airockchip/rknn-toolkit2/blob/master/doc"


@dataclass(frozen=True, slots=True)
class Documented:
    """Limits, where they are documented, and in a few words what stands there."""

    limits: Limits
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A program that reads ONNX models: what people call it, and what is documented of its limits."""

    title: str
    documented: tuple[Documented, ...]

    @property
    def limits(self) -> Limits:
        """All of them.

        >>> PROFILES["opencv45"].limits.told
        'without DepthToSpace, Einsum, Gather and SpaceToDepth'
        """
        return reduce(or_, (each.limits for each in self.documented), UNLIMITED)


def _without(*operators: str) -> Limits:
    return Limits(without=frozenset(operators))


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
    ),
    "rknn": Profile(
        "Rockchip RKNN Toolkit2",
        (
            Documented(
                _without(
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
    "opencv45": Profile(
        "OpenCV 4.5",
        (
            Documented(
                _without("DepthToSpace", "SpaceToDepth"),
                f"{_OPENCV}/pull/21608",
                "added behind 4.5.5, in February 2022",
            ),
            Documented(_without("Einsum"), f"{_OPENCV}/pull/24037", "added in 2023"),
            Documented(
                _without("Gather"),
                f"{_OPENCV}/blob/4.5.5/modules/dnn/src/onnx/onnx_importer.cpp",
                "parseGather takes a single index",
            ),
        ),
    ),
    "opset11": Profile(
        "what reads opset 11 at most",
        (Documented(Limits(max_opset=11), "https://onnx.ai/onnx/repo-docs/Versioning.html", "opset 11 is ONNX 1.6"),),
    ),
}


def written_for(runtime: str | None) -> tuple[Forms, Limits]:
    """The forms that run fastest in the program called so, and its limits; plain and none without a name.

    Raises `UnknownNameError` with the nearest names.

    >>> written_for("onnxruntime")[1] == written_for(None)[1] == UNLIMITED
    True
    >>> written_for("tensorrt")
    (Forms(mish_by_exp=False), Limits(max_rank=8, without=frozenset(), max_opset=None))
    """
    if runtime is None:
        return PLAIN, UNLIMITED
    if isinstance(runtime, str) and runtime in RUNTIMES:
        return RUNTIMES[runtime], UNLIMITED
    if isinstance(runtime, str) and runtime in PROFILES:
        return PLAIN, PROFILES[runtime].limits
    names = (*RUNTIMES, *PROFILES)
    near = get_close_matches(runtime[:80], names, n=1, cutoff=0.6) if isinstance(runtime, str) else ()
    meant = f"; did you mean {near[0]}?" if near else f"; there is {', '.join(names)}"
    raise UnknownNameError(f"no runtime of ONNX models is called {shown(runtime)}{meant}")

"""OpenCV 4 by its minor versions, and OpenCV 5: each of them ran every recorded network, with every head."""

from __future__ import annotations

from layoutbridge.frameworks.onnx.programs.forms import Forms
from layoutbridge.frameworks.onnx.programs.limits import Limits
from layoutbridge.frameworks.onnx.programs.profile import Documented, Profile, without, without_option

_OPENCV = "https://github.com/opencv/opencv"
_TAGS = ("4.5.5", "4.6.0", "4.7.0", "4.8.1", "4.10.0", "4.12.0")  # the last of each minor version
_NO_BLOCKS, _OLD_CONSTANTS, _OLD_OPSET, _NO_EINSUM = _TAGS[:1], _TAGS[:2], _TAGS[:3], _TAGS[:4]
_PICTURES = _TAGS[:5]
_NUMPY = f"{_OPENCV}/blob/{{tag}}/modules/python/src2/cv2_convert.cpp"
_RACING = ("4.8.1",)
_JOINING = ("4.5.5",)  # an output that a Concat joins is written into the Concat alone, and read where it lay before
_STRIDED = ("4.7.0",)  # reads beside the picture in depthwise convolutions of stride 2: issue 23151


def opencvs() -> dict[str, Profile]:
    """The profiles by name.

    >>> opencvs()["opencv47"].network_limits.max_opset, opencvs()["opencv412"].title
    (12, 'OpenCV 4.12')
    """
    return {f"opencv{_minor(tag).replace('.', '')}": _opencv4(tag) for tag in _TAGS} | {"opencv5": _OPENCV5}


def _minor(tag: str) -> str:
    return tag.rpartition(".")[0]


def _at(tag: str, module: str) -> str:
    return f"{_OPENCV}/blob/{tag}/modules/dnn/src/{module}"


def _opencv4(tag: str) -> Profile:
    importer = _at(tag, "onnx/onnx_importer.cpp")
    documented = [Documented(without("Loop", "NonMaxSuppression"), importer, "the importer knows neither")]
    if tag in _NO_BLOCKS:
        blocks = without("DepthToSpace", "SpaceToDepth")
        documented.append(Documented(blocks, f"{_OPENCV}/pull/21608", "added behind 4.5.5, in February 2022"))
    if tag in _NO_EINSUM:
        documented.append(Documented(without("Einsum"), f"{_OPENCV}/pull/24037", "added in 2023"))
    if tag in _OLD_CONSTANTS:
        documented.append(Documented(without("Gather"), importer, "parseGather takes a single index"))
    networks = [
        Documented(without("Expand"), importer, "parseExpand reads no length that another node computes"),
        Documented(without("GRU"), importer, "getLayerParams reads no list of strings"),
    ]
    if tag in _OLD_OPSET:
        split = "parseSplit has no second input, parseSoftMax is that of opset 11"
        networks.append(Documented(Limits(max_opset=12), importer, split))
        networks.append(Documented(without("LSTM"), importer, "parseLSTM takes no state that changes"))
    if tag in _OLD_CONSTANTS:
        constants = "parseClip takes one input, parseMatMul no constant first"
        networks.append(Documented(without("Clip", "MatMul"), importer, constants))
        simplifier = _at(tag, "onnx/onnx_graph_simplifier.cpp")
        networks.append(without_option("half", simplifier, "getMatFromTensor reads no FLOAT16"))
    networks.append(without_option("dynamic_size", importer, "parseShape asserts that no shape is open"))
    networks.append(without_option("external_data", importer, "getMatFromTensor reads no other file"))
    if tag in _RACING:
        reduced = without("ReduceMax", "ReduceSum")
        networks.append(Documented(reduced, f"{_OPENCV}/issues/24044", "other values with several threads"))
    if tag in _PICTURES:
        pictures = "Python's arrays of three axes are read as pictures with channels"
        networks.append(without_option("steps", _NUMPY.format(tag=tag), pictures))
    forms = Forms(
        whole_constants=tag in _OLD_CONSTANTS,
        pads_dilated=True,
        pads_strided=tag in _STRIDED,
        copies_outputs=tag in _JOINING,
    )
    return Profile(f"OpenCV {_minor(tag)}", tuple(documented), tuple(networks), forms, batch=1)


_OPENCV5 = Profile(
    "OpenCV 5",
    of_networks=(
        Documented(without("Loop"), _at("5.0.0", "net_impl2.cpp"), "forwardGraph asserts that no shape changes"),
        Documented(without("GRU"), _at("5.0.0", "onnx/onnx_importer2.cpp"), "getLayerParams reads no list of strings"),
    ),
)

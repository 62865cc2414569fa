"""How a few primitives are written in ONNX for a runtime that runs one form faster; the outputs are the same.

Measured in onnxruntime 1.31, OpenVINO 2026.4, OpenCV 5.0 and OpenCV 4.14 on YOLOv2, YOLOv4-tiny and YOLOv4 at
416 × 416, in float32. Mish without Softplus halves the time of YOLOv4 in onnxruntime; in OpenVINO it changed
nothing. Nor did these, beyond noise (0.03, in OpenCV 4.14 0.04), and they have no form of their own: the Mish of opset
18, Resize or ConvTranspose or Expand, SpaceToDepth or Transposes, pools of 9 and 13 as cascades of pools of 5, the
batch open or fixed, opset 13 or 17 or 21. Split instead of Slice costs 0.06 in OpenVINO, LeakyRelu as PRelu 0.2 to
0.3 in onnxruntime; as Max(x, 0.1·x) it costs 0.04 in onnxruntime and OpenCV 5.0 and gains 0.04 in OpenCV 4.14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layoutbridge.frameworks.winograd import Costs

if TYPE_CHECKING:
    from layoutbridge.frameworks.primitives import Padding, Pair

_ONNXRUNTIME = Costs(product=1.2, given=25, made=40, weight=11, start=1e7)  # between other convolutions
_OPENVINO = Costs(product=0.97, given=36, made=36, weight=9, start=1.7e7, direct_start=1.2e7)


@dataclass(frozen=True, slots=True)
class Forms:
    """`mish_by_exp`: Mish as x/(1 + 2/(e·(e + 2))) with e = exp(x), where Softplus is slow and nothing fuses it.

    `whole_constants`: those that are repeated along axes are stored as long as what they meet, and one channel beside
    several becomes several, where a runtime repeats nothing but numbers and those of channels. `pads_dilated`,
    `pads_strided`: a Pad stands before depthwise convolutions that reach further than their padding, or of a stride,
    where a runtime's own kernel for these is wrong. `copies_outputs`: an Identity stands between an output and a
    Concat, where a runtime lets what is joined lie in the Concat and forgets the output. `winograd` is what Winograd's
    form takes there. Of 25 shapes alone (16 to 1024 channels, 7 × 7 to 208 × 208; two threads, Zen 4) the form chosen
    by it takes 2 % more than the fastest on average in OpenVINO (at most 24 %), in onnxruntime 5 % (the smallest one
    twice as long): those numbers were lowered for what transforms take in the midst of a network.
    """

    mish_by_exp: bool = False
    whole_constants: bool = False
    pads_dilated: bool = False
    pads_strided: bool = False
    copies_outputs: bool = False
    winograd: Costs = _ONNXRUNTIME

    def pads_before(self, stride: Pair, dilation: Pair, padding: Padding) -> bool:
        """Whether the padding of a depthwise convolution is a node of its own."""
        reaches_further = max(dilation) > 1 and min(padding) < max(dilation)
        return (self.pads_dilated and reaches_further) or (self.pads_strided and max(stride) > 1)


PLAIN = Forms()
RUNTIMES = {"onnxruntime": Forms(mish_by_exp=True), "openvino": Forms(winograd=_OPENVINO), "opencv": PLAIN}

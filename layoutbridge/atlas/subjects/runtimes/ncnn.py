"""ncnn: layers of a .param file, each alone in a net."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_DOCS = "https://github.com/Tencent/ncnn/blob/master/docs/developer-guide/operators.md"
_CODE = """import ncnn
param = f'''7767517
2 2
Input x 0 1 x
{layer} {layer} 1 1 x y {numbers}
'''
open(folder + '/a.param', 'w').write(param)
net = ncnn.Net()
net.load_param(folder + '/a.param')
extractor = net.create_extractor()
extractor.input('x', ncnn.Mat(x[0]).clone())
y = np.array(extractor.extract('y')[1])[None]"""


def _cell(layer: str, numbers: str, mode: str, shapes_of: str, documented: str = "") -> Cell:
    code = _CODE.replace("{layer}", layer).replace("{numbers}", numbers)
    return Cell(
        layer, code, mode, shapes_of=shapes_of, documented=documented, source=f"{_DOCS}#{layer.lower()}",
        dtypes=("float32",), takes_batches=False,
    )  # fmt: skip


SUBJECT = Subject(
    "ncnn", "ncnn", "runtime", BESIDE, distribution_version("ncnn"),
    (
        _cell("Reorg", "0={s} 1=0", "mode 0", "space_to_depth", "space_to_depth_crd"),
        _cell("Reorg", "0={s} 1=1", "mode 1", "space_to_depth", "space_to_depth"),
        _cell("PixelShuffle", "0={s} 1=0", "mode 0", "depth_to_space", "depth_to_space_crd"),
        _cell("PixelShuffle", "0={s} 1=1", "mode 1", "depth_to_space", "depth_to_space"),
        _cell("ShuffleChannel", "0={s} 1=0", "", "channel_shuffle", "channel_shuffle"),
        _cell("ShuffleChannel", "0={s} 1=1", "reverse", "channel_shuffle"),
        _cell("Permute", "0=0", "order 0", "nchw_to_nhwc", "identity"),
        _cell("Permute", "0=1", "order 1", "nchw_to_nhwc", "transpose_hw"),
        _cell("Permute", "0=3", "order 3", "nchw_to_nhwc", "nchw_to_nhwc"),
        _cell("Permute", "0=4", "order 4", "nhwc_to_nchw", "nhwc_to_nchw"),
    ),
)  # fmt: skip

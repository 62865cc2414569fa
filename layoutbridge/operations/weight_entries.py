"""Weights as frameworks store them: convolutions, dense layers behind a flatten, attention, gates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import permutations
from math import isqrt
from types import MappingProxyType
from typing import TYPE_CHECKING

from layoutbridge.errors import ParameterError
from layoutbridge.late import Late
from layoutbridge.operations.blocks import BLOCKS
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form, Parameter, form

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

_CONVOLUTIONS = "convolution weights"
_DENSE = "dense weights"
_ATTENTION = "attention"
_GATES = "recurrent weights"
_WHERE = {
    "oihw": "PyTorch, ONNX, Darknet",
    "hwio": "TensorFlow, Keras, JAX",
    "ohwi": "TensorFlow Lite, MLX",
    "iohw": "transposed convolutions of PyTorch and ONNX",
    "hwoi": "transposed convolutions of TensorFlow and Keras",
}
_KERNEL = {1: "w", 2: "hw", 3: "dhw"}
_HEADS = Parameter("heads", 8, "how many heads", is_of_network=True)
_AXES = Parameter("axes", 2, "how many axes the weights have: 2, or 1 for a bias")
_ROWS = {2: " k", 1: ""}  # what stands behind the rows
_MOST_ROWS = 1024  # heads of queries, keys and values together that are looked for; models have up to some hundred


def _taken(*listed: Parameter) -> Mapping[str, Parameter]:
    return MappingProxyType({parameter.name: parameter for parameter in listed})


def _weights(source: str, target: str) -> CatalogEntry:
    """Convolution weights of one layout as another, with a kernel on one, two or three axes."""
    forms = []
    for count in (2, 1, 3):
        before, after = (" ".join(layout.replace("hw", _KERNEL[count])) for layout in (source, target))
        forms.append(form(f"{before} -> {after}", spatial=count))
    return CatalogEntry(
        f"{source}_to_{target}",
        tuple(forms),
        f"{source.upper()} as {target.upper()}",
        f"{source.upper()}: {_WHERE[source]}; {target.upper()}: {_WHERE[target]}",
        MappingProxyType({"spatial": BLOCKS["spatial"]}),
        equals=f"the inverse of {target}_to_{source}",
        family=_CONVOLUTIONS,
        has_batch=False,
    )


_PAIRS = (*permutations(("oihw", "hwio", "ohwi", "iohw"), 2), ("iohw", "hwoi"), ("hwoi", "iohw"))

_CONVOLUTION_ENTRIES = (
    *(_weights(source, target) for source, target in _PAIRS),
    CatalogEntry(
        "depthwise_oihw_to_hwio",
        (form("(c m:multiplier) 1 h w -> h w c m", "multiplier", from_one=True),),
        "depthwise weights [C·multiplier, 1, h, w] as [h, w, C, multiplier]",
        "PyTorch (groups = C) and ONNX; Keras DepthwiseConv2D, tf.nn.depthwise_conv2d",
        _taken(Parameter("multiplier", 1, "how many outputs each channel has", is_of_network=True)),
        family=_CONVOLUTIONS,
        has_batch=False,
    ),
    CatalogEntry(
        "depthwise_hwio_to_oihw",
        (form("h w c m -> (c m) 1 h w"),),
        "depthwise weights [h, w, C, multiplier] as [C·multiplier, 1, h, w]",
        "Keras DepthwiseConv2D, tf.nn.depthwise_conv2d; PyTorch (groups = C) and ONNX",
        equals="the inverse of depthwise_oihw_to_hwio",
        family=_CONVOLUTIONS,
        has_batch=False,
    ),
    CatalogEntry(
        "depthwise_oihw_to_ihwo",
        (form("o 1 h w -> 1 h w o"),),
        "depthwise weights [C·multiplier, 1, h, w] as [1, h, w, C·multiplier]",
        "PyTorch (groups = C) and ONNX; TensorFlow Lite DEPTHWISE_CONV_2D",
        family=_CONVOLUTIONS,
        has_batch=False,
    ),
    CatalogEntry(
        "depthwise_ihwo_to_oihw",
        (form("1 h w o -> o 1 h w"),),
        "depthwise weights [1, h, w, C·multiplier] as [C·multiplier, 1, h, w]",
        "TensorFlow Lite DEPTHWISE_CONV_2D; PyTorch (groups = C) and ONNX",
        equals="the inverse of depthwise_oihw_to_ihwo",
        family=_CONVOLUTIONS,
        has_batch=False,
    ),
    CatalogEntry(
        "grouped_iohw_to_oihw",
        (form("(g:groups i) o h w -> (g o) i h w", "groups"),),
        "inputs and outputs of a grouped convolution change places within each group",
        "torch.nn.ConvTranspose2d [I, O/groups, h, w]; a convolution's weights [O, I/groups, h, w]",
        _taken(Parameter("groups", 2, "how many groups", is_of_network=True)),
        equals="its own inverse",
        family=_CONVOLUTIONS,
        has_batch=False,
    ),
)

_SIDES = (
    Parameter("height", 7, "height of what is flattened", is_of_network=True),
    Parameter("width", 7, "width of what is flattened", is_of_network=True),
)


def _nearly_square(sizes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Two sides for each product: the map shows nothing else, and most pictures are nearly as high as wide."""
    for size in sorted(sizes):
        height = next(side for side in range(isqrt(size), 0, -1) if size % side == 0)
        yield height, size // height


def _flattened(pattern: str) -> tuple[Form, ...]:
    letters = MappingProxyType({side.name: (side.name,) for side in _SIDES})
    return (Form(pattern, letters, candidates=_nearly_square),)


_DENSE_ENTRIES = (
    CatalogEntry(
        "transpose",
        (form("k d -> d k"),),
        "rows and columns change places: dense weights [out, in] as [in, out]",
        "PyTorch Linear and ONNX Gemm with transB; Keras Dense, ONNX MatMul, JAX",
        equals="its own inverse",
        family=_DENSE,
    ),
)

FLATTEN_ENTRIES = (
    CatalogEntry(
        "dense_chw_to_hwc",
        _flattened("k (c h:height w:width) -> k (h w c)"),
        "weights [out, C·H·W] behind a flatten of [C, H, W], for a flatten of [H, W, C]",
        "Flatten in PyTorch and ONNX; in Keras and TensorFlow with channels last",
        _taken(*_SIDES),
        equals="the inverse of dense_hwc_to_chw",
        family=_DENSE,
        has_batch=False,
    ),
    CatalogEntry(
        "dense_hwc_to_chw",
        _flattened("k (h:height w:width c) -> k (c h w)"),
        "weights [out, H·W·C] behind a flatten of [H, W, C], for a flatten of [C, H, W]",
        "Flatten in Keras and TensorFlow with channels last; in PyTorch and ONNX",
        _taken(*_SIDES),
        equals="the inverse of dense_chw_to_hwc",
        family=_DENSE,
        has_batch=False,
    ),
)


def _rows(pattern: str, *letters: str) -> tuple[Form, ...]:
    """Rows of weights in another order: with columns behind them, and of a bias alone."""
    left, right = pattern.split(" -> ")
    return tuple(form(f"{left}{behind} -> {right}{behind}", *letters, axes=n) for n, behind in _ROWS.items())


_QKV = {"3hd": ("t", "h", "d"), "h3d": ("h", "t", "d"), "hd3": ("h", "d", "t")}
_SIZES = {"t": "t:3", "h": "h:heads", "d": "d"}


def _projections() -> tuple[Form, ...]:
    """The forms of `qkv_rows`: each order of rows as each other one."""
    forms = []
    for source, target in (("h3d", "3hd"), *permutations(_QKV, 2)):
        left = " ".join(_SIZES[digit] for digit in _QKV[source])
        right = " ".join(_QKV[target])
        for count, behind in _ROWS.items():
            pattern = f"({left}){behind} -> ({right}){behind}"
            forms.append(form(pattern, "heads", source=source, target=target, axes=count))
    return tuple(dict.fromkeys(forms))


def _grouped(source: str, behind: str, numbers: Sequence[int]) -> str:
    """The rows of `heads` queries and `groups` keys and values, which share them, as a pattern with an order."""
    heads, groups = numbers
    if heads % groups:
        raise ParameterError(
            f"heads {heads} is no multiple of groups {groups}: each group has a key, a value and as many queries"
        )
    queries = heads // groups
    rows = np.arange(heads + 2 * groups).reshape(groups, queries + 2)
    order = np.concatenate([rows[:, :queries].reshape(-1), rows[:, queries], rows[:, queries + 1]])
    if source == "3hd":
        order = np.argsort(order)
    return f"(t d){behind} -> (t[{' '.join(map(str, order))}] d){behind}"


def _shared(sizes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Heads and groups that make so many rows; with one group nothing moves."""
    for size in sorted(size for size in sizes if size <= _MOST_ROWS):
        for groups in range(2, size // 3 + 1):
            if size % groups == 0:
                yield size - 2 * groups, groups


def _grouped_projections() -> tuple[Form, ...]:
    letters = MappingProxyType({"heads": ("heads",), "groups": ("groups",)})
    return tuple(
        Form(
            f"(t d){behind} -> (t[order] d){behind}",
            letters,
            MappingProxyType({"source": source, "target": target, "axes": axes}),
            from_one=frozenset({"groups"}),
            write=partial(_grouped, source, behind),
            candidates=_shared,
        )
        for source, target in (("g", "3hd"), ("3hd", "g"))
        for axes, behind in _ROWS.items()
    )


_ATTENTION_ENTRIES = (
    CatalogEntry(
        "split_heads",
        (
            form("l (h:heads d) -> h l d", "heads", order="hd"),
            form("l (d h:heads) -> h l d", "heads", order="dh"),
        ),
        "features of [L, heads·D] into heads [heads, L, D]",
        "Vaswani et al. 2017; torch.nn.MultiheadAttention, Hugging Face transformers (hd)",
        _taken(_HEADS, Parameter("order", "hd", "digits of a feature, outermost first: hd or dh")),
        equals="undone by merge_heads",
        family=_ATTENTION,
    ),
    CatalogEntry(
        "merge_heads",
        (form("h l d -> l (h d)", order="hd"), form("h l d -> l (d h)", order="dh")),
        "heads [heads, L, D] back into features [L, heads·D]",
        "Vaswani et al. 2017; torch.nn.MultiheadAttention, Hugging Face transformers (hd)",
        _taken(Parameter("order", "hd", "digits of a feature, outermost first: hd or dh")),
        equals="the inverse of split_heads",
        family=_ATTENTION,
    ),
    CatalogEntry(
        "bshd_to_bhsd",
        (form("s h d -> h s d"),),
        "positions and heads change places: [S, H, D] as [H, S, D]",
        "FlashAttention, JAX and Keras (BSHD); torch.nn.functional.scaled_dot_product_attention (BHSD)",
        also_known_as=("bhsd_to_bshd",),
        equals="its own inverse",
        family=_ATTENTION,
    ),
    CatalogEntry(
        "qkv_rows",
        _projections(),
        "rows of a fused projection of queries, keys and values in another order",
        "Megatron-LM and GPT-NeoX (h3d); GPT-2, torch.nn.MultiheadAttention, timm (3hd); hd3: some einops forms",
        _taken(
            _HEADS,
            Parameter("source", "h3d", "order of the rows, outermost first: 3hd, h3d or hd3"),
            Parameter("target", "3hd", "order wanted: 3hd, h3d or hd3"),
            _AXES,
        ),
        family=_ATTENTION,
        has_batch=False,
    ),
    CatalogEntry(
        "qkv_rows_grouped",
        _grouped_projections(),
        "rows of a fused projection whose queries share keys and values: group by group, or all queries first",
        "InternLM2 (wqkv), Falcon's new_decoder_architecture, Megatron-LM's query groups (g); Phi-3's qkv_proj (3hd)",
        _taken(
            Parameter("heads", 8, "how many heads the queries have", is_of_network=True),
            Parameter("groups", 2, "how many heads the keys and the values have", is_of_network=True),
            Parameter("source", "g", "order of the rows: g (group by group), or 3hd (all queries, keys, values)"),
            Parameter("target", "3hd", "order wanted: 3hd or g"),
            _AXES,
        ),
        equals="qkv_rows with source h3d where every query has a key of its own",
        family=_ATTENTION,
        has_batch=False,
    ),
    CatalogEntry(
        "rotary_pairs_to_halves",
        _rows("(h:heads e r:2) -> (h r e)", "heads"),
        "rows of a query's or key's weights: each head's rotary pairs (0, 1), (2, 3) … into two halves",
        "Llama's own weights into Hugging Face transformers (convert_llama_weights_to_hf, permute)",
        _taken(_HEADS, _AXES),
        equals="undone by rotary_halves_to_pairs",
        family=_ATTENTION,
        has_batch=False,
    ),
    CatalogEntry(
        "rotary_halves_to_pairs",
        _rows("(h:heads r:2 e) -> (h e r)", "heads"),
        "rows of a query's or key's weights: each head's halves back into rotary pairs",
        "Hugging Face transformers into Llama's own weights, GGUF and others with interleaved pairs",
        _taken(_HEADS, _AXES),
        equals="the inverse of rotary_pairs_to_halves",
        family=_ATTENTION,
        has_batch=False,
    ),
)

_LSTM = {"onnx": "iofc", "pytorch": "ifco", "keras": "ifco", "cudnn": "ifco"}
_GRU = {"onnx": "zrh", "pytorch": "rzh", "keras": "zrh", "cudnn": "rzh"}


def _gates(orders: Mapping[str, str]) -> tuple[Form, ...]:
    """Each framework's order of gates as each other one's."""
    forms = []
    for source, target in permutations(orders, 2):
        order = " ".join(str(orders[source].index(gate)) for gate in orders[target])
        for count, behind in _ROWS.items():
            pattern = f"(g d){behind} -> (g[{order}] d){behind}"
            forms.append(form(pattern, source=source, target=target, axes=count))
    return tuple(forms)


def _gate_parameters(orders: Mapping[str, str]) -> Mapping[str, Parameter]:
    told = ", ".join(f"{name} ({' '.join(order)})" for name, order in orders.items())
    return _taken(
        Parameter("source", "onnx", f"whose order the gates have: {told}"),
        Parameter("target", "pytorch", "whose order they get"),
        _AXES,
    )


_GATE_ENTRIES = (
    CatalogEntry(
        "lstm_gates",
        _gates(_LSTM),
        "rows of an LSTM's weights with the gates in another framework's order",
        "ONNX LSTM (i o f c); torch.nn.LSTM (i f g o); Keras LSTM (i f c o); cuDNN (i f c o)",
        _gate_parameters(_LSTM),
        family=_GATES,  # ONNX has an axis of directions in front
    ),
    CatalogEntry(
        "gru_gates",
        _gates(_GRU),
        "rows of a GRU's weights with the gates in another framework's order",
        "ONNX GRU (z r h); torch.nn.GRU (r z n); Keras GRU (z r h); cuDNN (r i h, i being z)",
        _gate_parameters(_GRU),
        family=_GATES,  # ONNX has an axis of directions in front
    ),
)

WEIGHT_ENTRIES = (*_DENSE_ENTRIES, *_CONVOLUTION_ENTRIES, *_ATTENTION_ENTRIES, *_GATE_ENTRIES)

"""What the reader of ncnn's .param files finds, against ncnn itself: every blob's shape, every movement's elements."""

import numpy as np
import pytest

from layoutbridge.errors import LayoutBridgeError, ShapeError, UnusableInputError
from layoutbridge.scanning.readers.ncnn import read
from tests.followed import followed

ncnn = pytest.importorskip("ncnn", reason="ncnn is not installed")


def param(folder, lines):
    """A .param of `lines`."""
    blobs = sum(int(line.split()[3]) for line in lines)
    path = folder / "net.param"
    path.write_text("\n".join(["7767517", f"{len(lines)} {blobs}", *lines, ""]))
    return path


def blobs_of(path, inputs, names):
    path.with_suffix(".bin").write_bytes(bytes(1 << 16))  # zeros for whatever weights the layers want
    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    net.opt.num_threads = 1
    net.opt.lightmode = False  # keeps every blob
    assert net.load_param(str(path)) == 0
    assert net.load_model(str(path.with_suffix(".bin"))) == 0
    with net.create_extractor() as extractor:
        for name, values in inputs.items():
            extractor.input(name, ncnn.Mat(values).clone())
        found = {}
        for name in names:
            status, blob = extractor.extract(name)
            assert status == 0, name
            found[name] = np.array(blob, np.float32)
    return found


def compare(path, shapes=None):
    """The graph, each of its blobs compared with ncnn's."""
    graph = read(path, shapes)
    rng = np.random.default_rng(1)
    inputs = {name: rng.permutation(np.prod(graph.tensors[name].shape)) for name in graph.inputs}
    inputs = {name: x.reshape(graph.tensors[name].shape).astype(np.float32) for name, x in inputs.items()}
    found = blobs_of(path, inputs, [node.output for node in graph.nodes]) | inputs
    for node in graph.nodes:
        assert graph.tensors[node.output].shape == found[node.output].shape, node
    followed(graph, found)
    return graph


def lengths(shape):
    keys = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(shape)]
    return " ".join(f"{key}={length}" for key, length in zip(keys, shape, strict=True))


def one(folder, shape, layer, outputs=1):
    kind, _, values = layer.partition(" ")
    names = " ".join(f"y{number}" for number in range(outputs))
    return param(folder, [f"Input in 0 1 x {lengths(shape)}", f"{kind} it 1 {outputs} x {names} {values}"])


MOVING = [
    *(((6, 10), f"Permute 0={order}") for order in range(2)),
    *(((4, 6, 10), f"Permute 0={order}") for order in range(6)),
    *(((2, 4, 3, 5), f"Permute 0={order}") for order in range(24)),
    ((7,), "Permute 0=0"),
    ((4, 6, 10), "Reshape 0=-1"),
    ((4, 6, 10), "Reshape 0=0 1=-1"),
    ((4, 6, 10), "Reshape 0=5 1=12 2=-1"),
    ((4, 6, 10), "Reshape 0=5 1=2 11=-1 2=0"),
    ((2, 4, 3, 5), "Reshape 0=-1 1=0 2=0"),
    ((24,), "Reshape 0=4 1=3 2=2"),
    ((4, 6, 10), 'Reshape 6="//(0w,2),*(0h,2),0c"'),
    ((4, 6, 10), 'Reshape 6="*(0w,0h),-1"'),
    ((4, 6, 10), "Flatten"),
    ((6, 10), "Flatten"),
    ((2, 4, 3, 5), "Flatten"),
    ((1, 6, 1), "Squeeze -23303=2,0,2"),
    ((1, 6, 1), "Squeeze 3=-1,"),
    ((1, 6, 1), "Squeeze 0=1 1=1 2=1"),
    ((1, 1, 1), "Squeeze -23303=3,0,1,2"),
    ((4, 1, 3, 5), "Squeeze -23303=1,1"),
    ((4, 6), "ExpandDims -23303=1,0"),
    ((4, 6), "ExpandDims -23303=2,0,-1"),
    ((4, 6, 10), "ExpandDims -23303=1,1"),
    ((7,), "ExpandDims 3=0,2"),
    *(((36, 3, 5), f"PixelShuffle 0={size} 1={mode}") for size in (2, 3) for mode in range(2)),
    *(((4, 6, 12), f"Reorg 0={size} 1={mode}") for size in (2, 3) for mode in range(2)),
    ((4, 7, 9), "Reorg 0=2"),
    *(((12, 3, 5), f"ShuffleChannel 0={groups} 1={back}") for groups in (2, 3) for back in range(2)),
    ((12, 2, 3, 5), "ShuffleChannel 0=3"),
    ((4, 6, 10), "Crop 0=2 1=1 2=1 3=5 4=3 5=2"),
    ((4, 6, 10), "Crop 0=2 1=1 2=1 3=-233 4=-233 5=-233 6=3 7=2 8=1"),
    ((4, 6, 10), "Crop -23309=2,1,-4 -23310=2,3,-233 -23311=2,0,-1"),
    ((4, 6, 10), "Crop -23309=3,1,-233,2 -23310=3,-1,4,2147483647"),
    ((4, 6, 10), 'Crop 19="1" 20="-(0h,1)" 21="1"'),
    ((6, 10), "Crop -23309=1,2 -23310=1,5 -23311=1,0"),
    ((2, 4, 3, 5), "Crop -23309=2,1,1 -23310=2,4,3 -23311=2,1,3"),
    ((4, 6, 10), "Flip -23300=1,0"),
    ((4, 6, 10), "Flip -23300=2,-1,1"),
    ((4, 6, 10), "Tile 0=1 1=3"),
    ((4, 6), "Tile -23302=3,2,1,3"),
    ((4, 6, 10), "Unfold 1=2 3=2"),
    ((4, 6, 10), "Unfold 1=3 11=2 3=2 13=1 2=2 12=1"),
    ((4, 7, 10), "Pooling 0=0 1=1 2=2 5=1"),
    ((4, 7, 9), "Pooling 0=1 1=1 2=2 12=3"),
    ((4, 7, 9), "Noop"),
    ((4, 7, 9), "Dropout"),
]


@pytest.mark.parametrize(("shape", "layer"), MOVING)
def test_movements(tmp_path, shape, layer):
    (node,) = compare(one(tmp_path, shape, layer)).nodes
    assert node.movement is not None
    assert (node.name, node.operator) == ("it", layer.split()[0])


@pytest.mark.parametrize(
    ("shape", "values", "expected"),
    [
        ((4, 6, 10), "0=-1", lambda x: x.transpose(1, 2, 0).ravel()),
        ((4, 6, 10), "0=5 1=6 2=-1", lambda x: x.transpose(1, 2, 0).reshape(6, 5, 8).transpose(2, 0, 1)),
        ((4, 6, 10), "0=12 1=-1", lambda x: x.transpose(1, 2, 0).reshape(12, 20).T),
        ((6, 10), "0=5 1=3 2=4", lambda x: x.T.reshape(3, 5, 4).transpose(2, 0, 1)),
        ((24,), "0=4 1=3 2=2", lambda x: x.reshape(3, 4, 2).transpose(2, 0, 1)),
    ],
)
def test_reshape_with_channels_last_of_older_versions(tmp_path, shape, values, expected):
    graph = read(one(tmp_path, shape, f"Reshape {values} 3=1"))
    x = np.arange(np.prod(shape)).reshape(shape)
    (node,) = graph.nodes
    np.testing.assert_array_equal(node.movement(x), expected(x))
    assert "newer versions of ncnn ignore" in graph.notes[0]


@pytest.mark.parametrize(
    ("shape", "layer", "outputs"),
    [
        ((4, 6, 10), "Slice -23300=3,1,2,-233 1=0", 3),
        ((4, 6, 10), "Slice -23300=2,-233,-233 1=2", 2),
        ((4, 6, 10), "Slice -23302=1,-2 1=1", 2),
        ((2, 4, 3, 5), "Slice -23300=2,1,-233 1=1", 2),
        ((6, 10), "Slice -23300=2,2,-233 1=-1", 2),
        ((10,), "Slice -23300=2,3,-233", 2),
        ((4, 6, 10), "Split", 3),
    ],
)
def test_several_outputs(tmp_path, shape, layer, outputs):
    nodes = compare(one(tmp_path, shape, layer, outputs)).nodes
    assert [node.name for node in nodes] == ["it"] * outputs
    assert all(node.movement is not None for node in nodes)


@pytest.mark.parametrize(
    ("shapes", "layer"),
    [
        (((4, 6, 10), (3, 6, 10)), "Concat 0=0"),
        (((4, 6, 10), (4, 2, 10)), "Concat 0=1"),
        (((4, 6, 10), (4, 6, 3)), "Concat 0=-1"),
        (((6, 10), (6, 3)), "Concat 0=1"),
        (((6,), (3,)), "Concat 0=0"),
        (((2, 4, 3, 5), (2, 1, 3, 5)), "Concat 0=1"),
        (((4, 6, 10), (2, 3, 5)), "Crop 0=1 1=2 2=1"),
        (((4, 6, 10), (3, 5)), "Crop 0=1 1=2"),
    ],
)
def test_two_inputs(tmp_path, shapes, layer):
    (node,) = compare(of_two(tmp_path, shapes, layer)).nodes
    assert node.inputs == (("a", "b") if node.operator == "Concat" else ("a",))


COMPUTING = [
    ((4, 13, 17), "Convolution 0=6 1=3 11=2 3=2 13=1 4=1 6=144"),
    ((4, 13, 17), "Convolution 0=6 1=3 3=2 4=-233 6=216"),
    ((4, 13, 17), "Convolution 0=6 1=3 2=2 3=2 4=-234 6=216"),
    ((4, 13, 17), "Convolution 0=6 1=3 4=1 15=2 14=0 16=3 6=216"),
    ((4, 13, 17), "ConvolutionDepthWise 0=8 1=3 7=4 6=72"),
    ((4, 13, 17), "Deconvolution 0=6 1=3 3=2 4=1 18=1 19=1 6=216"),
    ((4, 13, 17), "Deconvolution 0=6 1=4 3=2 4=-233 20=34 21=26 6=384"),
    ((4, 13, 17), "DeconvolutionDepthWise 0=4 1=2 3=2 7=4 6=16"),
    ((4, 17), "Convolution1D 0=6 1=3 3=2 4=1 6=72"),
    *(((4, 13, 18), f"Pooling 0={kind} 1=3 2=2 3=1 5={mode}") for kind in range(2) for mode in range(4)),
    ((4, 13, 18), "Pooling 0=0 1=3 11=2 2=2 12=3 3=1 14=0 13=1 15=1"),
    ((4, 13, 18), "Pooling 0=1 4=1"),
    ((4, 13, 18), "Pooling 0=1 7=1 8=3 18=-233"),
    ((4, 17), "Pooling1D 0=1 1=3 2=2 3=1"),
    ((4, 6, 10), "InnerProduct 0=5 2=1200"),
    ((6, 10), "InnerProduct 0=5 2=50"),
    ((4, 6, 10), "Interp 0=1 1=2.0 2=3.0"),
    ((4, 6, 10), "Interp 0=2 3=7 4=9"),
    ((4, 6, 10), 'Interp 0=1 9="*(0w,2),*(0h,2)"'),
    ((6, 10), "Interp 0=1 2=2.5"),
    ((10,), "Interp 0=1 3=2 4=3"),
    ((4, 6, 10), "Padding 0=1 1=2 2=3 3=4 7=1 8=2"),
    ((6, 10), "Padding 0=1 1=2 2=3 3=4 4=2"),
    ((6, 10), "LSTM 0=5 1=200"),
    ((6, 10), "GRU 0=5 1=300 2=2"),
    ((6, 10), "RNN 0=5 1=50"),
    ((4, 6, 10), "BatchNorm 0=4"),
    ((4, 6, 10), "Softmax 0=1 1=1"),
    ((4, 6, 10), "ReLU 0=0.1"),
    ((4, 6, 10), "BinaryOp 0=2 1=1 2=0.5"),
    ((4, 6, 10), "Reduction 0=3 1=0 -23303=2,1,2 4=0 5=1"),
    ((4, 6, 10), "Reduction 0=3 1=0 -23303=1,-1 4=1 5=1"),
    ((4, 6, 10), "Reduction 0=3 1=1"),
    ((4, 6, 10), "GLU 0=0"),
    ((6, 10), "Gemm 3=1 5=1 6=1 8=7 9=10 10=-1"),
]


@pytest.mark.parametrize(("shape", "layer"), COMPUTING)
def test_shapes_of_what_computes(tmp_path, shape, layer):
    graph = compare(one(tmp_path, shape, layer))
    assert [node.movement for node in graph.nodes] == [None]
    assert graph.notes == ()


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 6, 10), (4, 6, 10)),
        ((4, 6, 10), (4, 1, 1)),
        ((4, 6, 10), (4,)),
        ((4, 6, 10), (10,)),
        ((4, 6, 10), (4, 6)),
        ((6,), (6, 10)),
        ((1, 6, 1), (4, 1, 10)),
        ((2, 4, 3, 5), (2, 4, 3)),
    ],
)
def test_shapes_of_sums(tmp_path, shapes):
    compare(of_two(tmp_path, shapes, "BinaryOp 0=0"))


@pytest.mark.parametrize(
    ("shapes", "turned"),
    [(((6, 10), (10, 7)), 0), (((4, 6, 10), (4, 7, 10)), 1), (((4, 6, 10), (10, 7)), 0), (((4, 6, 3), (4, 3, 7)), 0)],
)
def test_shapes_of_products(tmp_path, shapes, turned):
    compare(of_two(tmp_path, shapes, f"MatMul 0={turned}"))


def of_two(folder, shapes, layer):
    lines = [f"Input {name} 0 1 {name} {lengths(shape)}" for name, shape in zip("ab", shapes, strict=True)]
    kind, _, values = layer.partition(" ")
    return param(folder, [*lines, f"{kind} it 2 1 a b y {values}"])


def test_the_focus_of_the_examples(tmp_path):
    """ncnn's examples/yolov5.cpp: channel p of the result begins at row (p/C)%2 and column (p/C)/2 of p%C."""
    x = np.random.default_rng(0).random((3, 7, 8))
    (node,) = read(one(tmp_path, x.shape, "YoloV5Focus")).nodes
    parts = [x[p % 3, (p // 3) % 2 :: 2, (p // 3) // 2 :: 2][:3, :4] for p in range(12)]
    np.testing.assert_array_equal(node.movement(x), parts)
    assert "odd width" in read(one(tmp_path, (3, 8, 7), "YoloV5Focus")).notes[0]


FOCUS = [
    "Input in 0 1 x 0=8 1=6 2=3",
    "Split copies 1 4 x a b c d",
    "Pooling p0 1 1 a a0 1=1 2=2 5=1",
    "Crop c1 1 1 b b0 -23309=1,1 -23310=1,-233 -23311=1,1",
    "Pooling p1 1 1 b0 b1 1=1 2=2 5=1",
    "Crop c2 1 1 c c0 -23309=1,1 -23310=1,-233 -23311=1,2",
    "Pooling p2 1 1 c0 c1 1=1 2=2 5=1",
    "Crop c3 1 1 d d0 -23309=2,1,1 -23310=2,-233,-233 -23311=2,1,2",
    "Pooling p3 1 1 d0 d1 1=1 2=2 5=1",
    "Concat together 4 1 a0 b1 c1 d1 e 0=0",
    "Convolution conv 1 1 e f 0=4 1=3 4=1 6=432",
    "MemoryData held 0 1 m 0=4 1=3 2=4",
    "BinaryOp sum 2 1 f m g 0=0",
]


def test_a_whole_network(tmp_path):
    graph = compare(param(tmp_path, FOCUS))
    assert (graph.format, graph.node_count, graph.inputs, graph.outputs) == ("ncnn", 13, ("x",), ("g",))
    assert graph.tensors["m"].is_constant
    assert graph.nodes[-1].inputs == ("f", "m")
    made = {"x"} | {name for name, tensor in graph.tensors.items() if tensor.is_constant}
    for node in graph.nodes:
        assert made.issuperset(node.inputs)
        made.add(node.output)


# ---------------------------------------------------------------------- sizes

OPEN = ["Input in 0 1 x", "Convolution conv 1 1 x y 0=8 1=3 4=1 6=288", "Reorg moved 1 1 y z 0=2"]


def test_channels_come_from_the_convolution(tmp_path):
    graph = compare(param(tmp_path, OPEN))
    assert graph.tensors["x"].shape[0] == 4
    assert graph.tensors["x"].open_shape == (4, None, None)
    assert any("[4, 64, 96]" in note for note in graph.notes)


@pytest.mark.parametrize("shape", [(4, 10, 12), (1, 4, 10, 12), (None, None, 10, 12)])
def test_given_shapes(tmp_path, shape):
    graph = compare(param(tmp_path, OPEN), shape)
    assert graph.tensors["z"].shape == (32, 5, 6)
    assert graph.notes == ()


def test_a_given_shape_counts_before_the_file_s(tmp_path):
    assert compare(one(tmp_path, (3, 4, 4), "Reorg 0=2"), {"x": (3, 8, 6)}).tensors["y0"].shape == (12, 4, 3)


def test_the_next_sizes_are_tried(tmp_path):
    path = param(tmp_path, ["Input in 0 1 x", "Flatten flat 1 1 x y", "InnerProduct fc 1 1 y z 0=5 2=860160"])
    assert read(path).tensors["x"].shape == (3, 224, 256)


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        ((5, 10, 12), "Convolution conv"),
        ((2, 4, 10, 12), "1 to 4 axes|Convolution conv"),
        ({"w": (4, 10, 12)}, "no input called 'w'; it has x"),
        ((4, 0, 12), "lengths are 1 at least"),
    ],
)
def test_shapes_that_do_not_fit(tmp_path, shapes, wanted):
    path = param(tmp_path, OPEN)
    if shapes in ((5, 10, 12), (2, 4, 10, 12)):
        assert "cannot be" in " ".join(read(path, shapes).notes)
        return
    with pytest.raises(ShapeError, match=wanted):
        read(path, shapes)


def test_an_input_that_nothing_tells_of(tmp_path):
    path = param(tmp_path, ["Input in 0 1 x", "InnerProduct fc 1 1 x y 0=5 2=35"])
    with pytest.raises(ShapeError, match="give --shape"):
        read(path)
    assert read(path, (7,)).tensors["y"].shape == (5,)


def test_an_input_that_an_unknown_layer_reads(tmp_path):
    path = param(tmp_path, ["Input in 0 1 x", "Mystery own 1 1 x y"])
    with pytest.raises(ShapeError, match="nothing is known of Mystery: give --shape"):
        read(path)
    assert read(path, (7,)).nodes == ()


def test_inputs_that_are_not_given_beside_one_that_is(tmp_path):
    path = param(tmp_path, ["Input a 0 1 a", "Input b 0 1 b", "Flatten flat 1 1 a c", "Flatten other 1 1 b d"])
    graph = read(path, {"a": (4, 5)})
    assert (graph.inputs, [node.output for node in graph.nodes]) == (("a",), ["c"])
    assert graph.outputs == ("c",)


def test_attention_does_not_wait_for_its_caches(tmp_path):
    lines = [
        *(f"Input {name} 0 1 {name} 0=8 1=5 2={heads}" for name, heads in (("q", 4), ("k", 4), ("v", 4))),
        "Input mask 0 1 mask 0=5 1=5",
        "Input cache 0 2 k0 v0",
        "SDPA it 6 3 q k v mask k0 v0 y k1 v1 5=1 7=1",
        "Permute turned 1 1 y z 0=2",
    ]
    graph = read(param(tmp_path, lines), {"q": (4, 5, 8)})
    assert graph.inputs == ("q", "k", "v", "mask")
    assert graph.tensors["z"].shape == (5, 4, 8)


def test_lines_that_ncnn_does_not_read(tmp_path):
    path = one(tmp_path, (4, 6, 10), "Flatten")
    path.write_text(path.read_text() + "Flatten more 1 1 y0 z\n")
    assert compare(path).notes == ("ncnn does not read the last 1 lines: line 2 says 2 layers",)


# ---------------------------------------------------------------------- what is not known


def test_an_unknown_layer_is_passed_over(tmp_path):
    lines = [
        "Input in 0 1 x 0=4 1=4 2=8",
        "Split copies 1 2 x a b",
        "Mystery own 1 1 a c 0=3",
        "ReLU act 1 1 c d",
        "Reorg moved 1 1 b e 0=2",
    ]
    graph = read(param(tmp_path, lines))
    assert [node.output for node in graph.nodes] == ["a", "b", "e"]
    assert set(graph.outputs) == {"a", "e"}  # the first, since something else reads it too
    assert any("Mystery (1)" in note for note in graph.notes)


def test_shapes_that_the_file_notes_are_taken(tmp_path):
    lines = ["Input in 0 1 x 0=4 1=4 2=8", "Mystery own 1 1 x c -23330=4,3,2,6,5", "Reorg moved 1 1 c d 0=2"]
    graph = read(param(tmp_path, lines))
    assert graph.tensors["d"].shape == (20, 3, 1)
    assert graph.nodes[0].movement is None
    assert read(param(tmp_path, lines), (8, 6, 4)).nodes == ()  # at another size they are others


@pytest.mark.parametrize("formula", ["1e999", "-(1e999,1e999)", "//(0w,0)", "max(1)", "0n,9w", "sqrt(-1)"])
def test_formulas_that_cannot_be(tmp_path, formula):
    graph = read(one(tmp_path, (4, 6, 10), f'Reshape 6="{formula}"'))
    assert graph.nodes == ()
    assert "Reshape it (line 4) cannot be" in graph.notes[0]


def test_a_layer_that_cannot_be(tmp_path):
    graph = read(one(tmp_path, (3, 4, 4), "PixelShuffle 0=2"))
    assert graph.nodes == ()
    assert "3 channels are no multiple of 2²" in graph.notes[0]
    assert "line 4" in graph.notes[0]


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "is no .param of ncnn"),
        ("7767518\n1 1\n", "is no .param of ncnn"),
        ("7767517\n", "line 1"),
        ("7767517\nx 1\n", "line 2"),
        ("7767517\n2 2\nInput a 0 1 x\n", "line 2: it says 2 layers, and the file has 1"),
        ("7767517\n1 1\nInput a 0\n", "line 3"),
        ("7767517\n1 1\nInput a 0 2 x\n", "line 3: Input a has 1 blobs"),
        ("7767517\n1 1\nInput a 0 99999 x\n", "line 3"),
        ("7767517\n1 1\nReLU a 1 1 x y\n", "line 3: ReLU a reads 'x', which no layer before it gives"),
        ("7767517\n2 2\nInput a 0 1 x\nInput b 0 1 x\n", "line 4: Input b gives 'x', as line 3 does"),
        (f"7767517\n1 1\nInput a 0 1 {'x' * 256}\n", "line 3: a name has 256 characters"),
        ("7767517\n1 1\nInput a 0 1 x what\n", "line 3: 'what' is no key=value"),
        ("7767517\n1 1\nInput a 0 1 x 0=99999999999\n", "line 3"),
        ("7767517\n1 1\nInput a 0 1 x -23300=3,1\n", "line 3"),
        ("7767517\n1 1\nInput a 0 1 x 0=1.5.5\n", "line 3"),
        ("7767517\n1 1\nInput a 0 1 x 0=abc\n", "is no whole number"),
    ],
)
def test_refusals(tmp_path, text, wanted):
    path = tmp_path / "net.param"
    path.write_text(text)
    with pytest.raises(UnusableInputError, match=wanted) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    for path in (tmp_path, tmp_path / "missing.param"):
        with pytest.raises(UnusableInputError):
            read(path)
    (tmp_path / "net.param").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnusableInputError, match=r"not a \.param\.bin"):
        read(tmp_path / "net.param")


def test_any_numbers_are_an_error_of_ours_or_a_graph(tmp_path):
    rng = np.random.default_rng(0)
    kinds = sorted({layer.split()[0] for _, layer in MOVING + COMPUTING})
    for _ in range(1500):
        keys = rng.choice(24, 4, replace=False)
        numbers = rng.choice([-(2**31), -235, -234, -233, -2, -1, 0, 1, 2, 3, 4, 7, 2**31 - 1], 4)
        values = " ".join(f"{key}={number}" for key, number in zip(keys, numbers, strict=True))
        shape = tuple(int(length) for length in rng.integers(1, 7, rng.integers(1, 5)))
        try:
            graph = read(one(tmp_path, shape, f"{rng.choice(kinds)} {values}"))
        except LayoutBridgeError:
            continue
        for node in graph.nodes:
            if node.movement is not None:
                size = np.prod(graph.tensors[node.output].shape)
                if size < 1 << 16:
                    moved = node.movement(np.zeros(shape))
                    assert moved.shape == graph.tensors[node.output].shape

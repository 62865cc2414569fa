"""Naming whatever comes: callables, modules, layers, tables, files."""

import json
import pickle
import sys
import tracemalloc
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.errors import ParameterError, ShapeError, UnusableInputError
from tests.pictures import pictures

SHAPE = (1, 64, 24, 36)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("name", sorted(pictures()))
def test_every_entry_is_named_with_its_parameters(name, stride):
    operation = lb.catalog()[name].build_at(stride)
    parameters = dict(operation.parameters)
    shape = (1, 3**4 * 2**4, 2 * 6, 3 * 6) if name == "darknet_reorg3d_reverse" else (2, 36, 24, 36)
    found = lb.identify(lambda x: operation(x), shape)
    assert name in found.names
    assert {**found.parameters, **parameters} == dict(found.parameters)
    assert all(lb.op(other, **match.parameters) == operation for match in found.matches for other in [match.name])
    assert name in lb.identify(operation.table(shape), shape).names
    assert lb.identify(operation, shape).names == found.names


def test_ports_that_people_write():
    def reorg_of_many_ports(x, s=2):
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // s, s, w // s, s).swapaxes(3, 4).reshape(n, c, h // s * w // s, s * s).swapaxes(2, 3)
        return x.reshape(n, c, s * s, h // s, w // s).swapaxes(1, 2).reshape(n, s * s * c, h // s, w // s)

    def focus(x):
        slices = (x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2])
        return np.concatenate(slices, 1)

    assert "space_to_depth" in lb.identify(reorg_of_many_ports, SHAPE).names
    assert lb.identify(focus, SHAPE).names == ("focus",)
    assert lb.identify(lambda x: x.transpose(0, 2, 3, 1), SHAPE).names == ("nchw_to_nhwc",)


def test_channels_last_is_tried_when_nothing_else_fits():
    def last(x):
        return lb.op("darknet_reorg")(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).transpose(0, 2, 3, 1)

    found = lb.identify(last, (1, 24, 36, 64))
    assert (found.names, found.layout) == (("darknet_reorg",), "NHWC")
    assert "channels last" in found.explain()


def test_what_one_shape_cannot_tell_apart_is_said():
    found = lb.identify(lb.op("space_to_depth"), (1, 1, 4, 4))
    assert {"space_to_depth", "pixel_unshuffle"} <= set(found.names)
    assert "cannot tell" in found.explain()


def test_a_permutation_without_a_name_has_a_pattern():
    found = lb.identify(lambda x: x.transpose(0, 3, 2, 1), SHAPE)
    assert found.is_permutation
    assert found.names == ()
    same = lb.Rearrangement(found.pattern)
    assert np.array_equal(same.table(SHAPE), lb.Rearrangement("c h w -> w h c").table(SHAPE))
    flipped = lb.identify(lambda x: x[..., ::-1], SHAPE)
    assert flipped.is_permutation
    assert np.array_equal(lb.Rearrangement(flipped.pattern).table(SHAPE), flipped.table)


def test_no_permutation_is_an_answer():
    assert "drops 27648 of 55296" in lb.identify(lambda x: x[:, ::2], SHAPE).explain()
    assert "repeats" in lb.identify(lambda x: np.repeat(x, 2, 2), SHAPE).explain()
    relu = lb.identify(lambda x: np.maximum(x, 0), SHAPE)
    assert (relu.is_permutation, relu.kind) == (False, "depends on sign")
    table = lb.op("space_to_depth").table((4, 4, 4))
    table[5] = table[6]
    assert lb.identify(table, (4, 4, 4)).kind == "drops or repeats"
    table[5] = 64
    assert "outside" in lb.identify(table, (4, 4, 4)).explain()
    assert not lb.identify(np.arange(5), (4, 4, 4)).is_permutation


def test_torch_modules_get_tensors_and_plain_torch_functions_are_understood():
    torch = pytest.importorskip("torch")
    assert "pixel_unshuffle" in lb.identify(torch.nn.PixelUnshuffle(3), SHAPE).names
    assert lb.identify(torch.nn.ChannelShuffle(4), SHAPE).names == ("channel_shuffle",)

    def port(x):
        return torch.nn.functional.pixel_shuffle(x, 2)

    assert "pixel_shuffle" in lb.identify(port, SHAPE).names
    dropout = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.PixelShuffle(2))
    assert "pixel_shuffle" in lb.identify(dropout, SHAPE).names


def test_a_module_keeps_its_mode():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.PixelShuffle(2).eval()).train()
    module[1].eval()
    lb.identify(module, SHAPE)
    assert [part.training for part in module.modules()] == [True, True, False]


def test_callables_that_work_in_place():
    def flip_channels(x):
        x[:] = x[:, ::-1].copy()
        return x

    def rectified_layout(x):
        np.maximum(x, 0, out=x)
        return x.transpose(0, 2, 3, 1)

    buffer = np.empty((1, 24, 36, 64), np.float32)

    def same_memory(x):
        buffer[:] = x.transpose(0, 2, 3, 1)
        x[:] = 0
        return buffer

    assert lb.identify(flip_channels, SHAPE).is_permutation
    assert lb.identify(rectified_layout, SHAPE).kind == "depends on sign"
    assert lb.identify(same_memory, SHAPE).names == ("nchw_to_nhwc",)


def test_lists_are_arrays_too():
    assert lb.identify(lambda x: x.transpose(0, 2, 3, 1).tolist(), (1, 2, 3, 4)).names == ("nchw_to_nhwc",)
    assert lb.identify(lambda x: x.transpose(0, 2, 3, 1).tolist(), (2, 2, 3, 4)).names == ("nchw_to_nhwc",)
    assert lb.identify(lambda x: [x.transpose(0, 2, 3, 1)], (2, 2, 3, 4)).names == ("nchw_to_nhwc",)


def test_dropping_everything_is_an_answer():
    assert "drops 24 of 24" in lb.identify(lambda x: x[:0], (1, 2, 3, 4)).explain()


def test_keras_layers_get_tensorflow_tensors():
    keras = pytest.importorskip("keras")
    found = lb.identify(keras.layers.Permute((2, 3, 1)), SHAPE)
    assert found.names == ("nchw_to_nhwc",)


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".json"])
def test_table_files(tmp_path, suffix):
    table = lb.op("focus").table((4, 6, 6))
    path = tmp_path / f"table{suffix}"
    if suffix == ".npy":
        np.save(path, table)
    else:
        path.write_text(json.dumps(table.tolist()) if suffix == ".json" else ",".join(map(str, table)))
    assert lb.identify(str(path), (1, 4, 6, 6)).names == ("focus",)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.npy", b"", "empty"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "not a whole .npy"),
        ("a.npy", pickle.dumps([1, 2]), "not a whole .npy"),
        ("a.csv", b"1,2,three", "three"),
        ("a.csv", b"1.5,2", "1.5"),
        ("a.json", b'{"rows": []}', "'table'"),
        ("a.json", b"[[1, 2], [3]]", "no table of integers"),
        ("a.json", b"[1, 2", "no table of integers"),
        ("a.json", b"[" * 100_000, "no table of integers"),
        ("a.json", b"[0.5, 1]", "a fraction"),
        ("a.csv", b"\xff\xfe\x00", "no table of integers"),
        ("a.csv", b"99999999999999999999999", "no table of integers"),
    ],
)
def test_unusable_table_files(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnusableInputError, match=says) as caught:
        lb.identify(str(path), (4, 4, 4))
    assert "\n" not in str(caught.value)


def test_a_cut_or_pickled_npy_is_refused_before_it_is_loaded(tmp_path):
    whole = tmp_path / "whole.npy"
    np.save(whole, np.arange(1000))
    cut = tmp_path / "cut.npy"
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(UnusableInputError, match="promises 8000 bytes and 7900"):
        lb.identify(str(cut))
    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UnusableInputError, match="pickled"):
        lb.identify(str(pickled))
    huge = tmp_path / "huge.npy"
    header = whole.read_bytes().replace(b"(1000,)", b"(10**9,)"[:7])
    huge.write_bytes(header)
    with pytest.raises(UnusableInputError):
        lb.identify(str(huge))


def test_callables_in_files(tmp_path):
    (tmp_path / "neighbour_of_ports.py").write_text("STRIDE = 2\n")
    (tmp_path / "ports.py").write_text(
        "import numpy as np\nfrom neighbour_of_ports import STRIDE\n"
        "class Reorg:\n"
        "    def __init__(self, stride=STRIDE, *, order='row'):\n        self.stride = stride\n"
        "    def __call__(self, x):\n        s = self.stride\n        n, c, h, w = x.shape\n"
        "        y = x.reshape(n, c, h // s, s, w // s, s).transpose(0, 3, 5, 1, 2, 4)\n"
        "        return y.reshape(n, c * s * s, h // s, w // s)\n"
        "class Needs:\n    def __init__(self, stride):\n        pass\n"
        "class Holder:\n    inner = Reorg(3)\n"
        "number = 3\n"
        "def fails(x):\n    raise ValueError('first line\\nsecond line')\n"
        "def nothing(x):\n    pass\n"
        "def two(x):\n    return x, x\n"
        "def leaves(x):\n    raise SystemExit(3)\n"
        "class Leaves:\n    def __init__(self):\n        raise SystemExit(5)\n"
        "class Property:\n    @property\n    def bad(self):\n        raise ValueError('bad property')\n"
        "held = Property()\n"
        "class Odd:\n    input_dtype = object()\n    def __call__(self, x):\n        return x.transpose(0, 2, 3, 1)\n"
    )
    place = str(tmp_path / "ports.py")
    assert "space_to_depth" in lb.identify(f"{place}:Reorg", SHAPE).names
    assert lb.identify(f"{place}:Reorg(3)", (1, 4, 6, 9)).parameters == {"stride": 3}
    assert lb.identify(f"{place}:Reorg(stride=4, order='row')", SHAPE).parameters == {"stride": 4}
    assert lb.identify(f"{place}:Odd", SHAPE).names == ("nchw_to_nhwc",)
    assert lb.identify(f"{place}:Holder.inner", (1, 4, 6, 9)).parameters == {"stride": 3}
    for attribute, says in {
        "Missing": "has no 'Missing'",
        "Needs": "Needs\\(\\) raised TypeError",
        "number": "not a callable",
        "fails": "raised ValueError: first line$",
        "nothing": "returned nothing",
        "two": "returned 2 results",
        "leaves": "raised SystemExit: 3",
        "Leaves": "raised SystemExit: 5",
        "held.bad": "raised ValueError: bad property",
        "Reorg(open('x'))": "plain values",
        "Reorg(2": "plain values",
    }.items():
        with pytest.raises(UnusableInputError, match=says) as caught:
            lb.identify(f"{place}:{attribute}", SHAPE)
        assert "\n" not in str(caught.value)
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module_anywhere:thing", "importing 'no_such_module_anywhere' raised ModuleNotFoundError"),
        ("missing.py:thing", "there is no file"),
        ("missing.npy", "there is no table"),
        ("missing.onnx", "missing.onnx"),
        ("missing.keras", "there is no file"),
        ("nothing", "names nothing to identify"),
        ("json:", "names nothing to identify"),
        (":dumps", "names nothing to identify"),
    ],
)
def test_targets_that_are_not_there(target, says):
    with pytest.raises(UnusableInputError, match=says):
        lb.identify(target, SHAPE)


def test_files_that_fail_when_run(tmp_path):
    for name, text in {"a.py": "1 / 0", "b.py": "def (", "c.py": "import sys; sys.exit(3)"}.items():
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(UnusableInputError, match=f"running '.*{name}' raised"):
            lb.identify(f"{path}:thing", SHAPE)


def test_shapes_are_needed_and_checked():
    with pytest.raises(ParameterError, match="at one shape"):
        lb.identify(lambda x: x)
    with pytest.raises(ParameterError, match="at one shape"):
        lb.identify(lb.op("focus"))
    for shape in [(0, 3, 4, 4), (-1, 3, 4, 4), (1.5, 3, 4, 4), (2**62, 4, 4, 4)]:
        with pytest.raises((ParameterError, ShapeError)):
            lb.identify(lambda x: x, shape)


@pytest.mark.parametrize("name", ["darknet_reorg", "darknet_reorg_reverse", "space_to_depth", "pixel_shuffle", "focus"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_keras_file_is_identified_in_its_own_layout(name, data_format, tmp_path):
    """Channels last, Darknet's reorg is no one permutation of digits at a height that 4 does not divide."""
    pytest.importorskip("tensorflow")
    from layoutbridge.frameworks.tensorflow.emission import save

    save(lb.op(name), tmp_path / "model.keras", shape=(1, 16, 26, 26), data_format=data_format)
    last = data_format == "channels_last"
    found = lb.identify(tmp_path / "model.keras", (1, 26, 26, 16) if last else (1, 16, 26, 26))
    assert name in found.names
    assert found.layout == ("NHWC" if last else "NCHW")
    assert ("channels first it is a permutation" in found.explain()) == last


def test_a_keras_file_from_a_newer_keras_says_so(tmp_path):
    pytest.importorskip("tensorflow")
    import keras

    from layoutbridge.frameworks.tensorflow.emission import save

    save(lb.op("focus"), tmp_path / "model.keras", shape=(1, 3, 4, 4))
    newer = tmp_path / "newer.keras"
    with ZipFile(tmp_path / "model.keras") as held, ZipFile(newer, "w") as written:
        for part in held.namelist():
            content = held.read(part)
            if part == "metadata.json":
                content = json.dumps(json.loads(content) | {"keras_version": "99.1.0"}).encode()
            elif part == "config.json":  # as if the layer were described in another way by then
                content = content.replace(b'"rearrangement"', b'"arrangement"')
            written.writestr(part, content)
    with pytest.raises(UnusableInputError, match=rf"written by Keras 99\.1\.0, and {keras.__version__} is installed"):
        lb.identify(newer, (1, 3, 4, 4))
    (tmp_path / "broken.keras").write_bytes(b"PK no more")
    with pytest.raises(UnusableInputError, match=r"broken\.keras' is no whole \.keras file"):
        lb.identify(tmp_path / "broken.keras", (1, 3, 4, 4))


def test_a_table_of_too_few_entries_for_a_huge_shape_needs_no_memory_of_that_size():
    tracemalloc.start()
    found = lb.identify(np.array([0, 2, 2, 9, 2, -1, 5]), (1, 2**31 - 1))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert found.explain() == (
        f"no permutation: its result has 7 elements for an input of {2**31 - 1}; 1 entries point outside the input; "
        f"it drops {2**31 - 5} of {2**31 - 1} elements, first [0, 1], [0, 3], [0, 4], [0, 6]; "
        "it repeats 1, first [0, 2]"
    )


@given(st.lists(st.integers(-2, 12), min_size=1, max_size=12), st.integers(1, 14))
def test_what_a_table_drops_and_repeats_as_counted_one_by_one(table, total):
    explained = lb.identify(np.array(table), (total,)).explain()
    counts = [table.count(position) for position in range(total)]
    lost = [[position] for position, count in enumerate(counts) if not count]
    repeated = [[position] for position, count in enumerate(counts) if count > 1]
    if len(table) != total:
        for positions, told in ((lost, f"it drops {len(lost)} of {total} elements, first "),
                                (repeated, f"it repeats {len(repeated)}, first ")):  # fmt: skip
            assert (told + ", ".join(map(str, positions[:4])) in explained) == bool(positions)

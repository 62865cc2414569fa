"""Every form of an entry, whatever the number of its axes, emitted and run in every installed framework."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.frameworks.table import frameworks
from layoutbridge.recognition.recover import recover
from layoutbridge.recognition.verification import shapes_for

INSTALLED = [record for record in frameworks() if record.installed()]
ASKED = [{"stride": (1, 4)}, {"stride": (3, 2)}, {"spatial": 1}, {"spatial": 3}, {"stride": (2, 1, 3)}]


@pytest.mark.sample(6)
@pytest.mark.parametrize("record", INSTALLED, ids=lambda record: record.name)
@pytest.mark.parametrize("name", ["pixel_shuffle", "space_to_depth", "focus"])
def test_every_form_is_emitted(record, name):
    for parameters in ASKED:
        operation = lb.op(name, **parameters)
        emitted = [each for each in record.runnables(2, [operation]) if each.emitted and each.layout == "NCHW"]
        assert emitted
        for runnable in emitted:
            for shape in list(shapes_for(operation))[:2]:
                found = recover(runnable.run, shape, np.dtype("float32"))
                assert found.out_shape == operation.out_shape(shape), (runnable.op, parameters)
                np.testing.assert_array_equal(found.table, operation.table(shape))


@pytest.mark.parametrize(
    "pattern", ["c (w q:s) -> (q c) w", "c (d o:s) h (w q:s) -> (c q o) d h w", "c (w q:s) -> w (q c)"]
)
def test_verify_runs_images_on_one_and_three_axes_in_both_layouts(pattern):
    lb.register("of_its_own", pattern, stride=2)
    try:
        result = lb.verify([record.name for record in INSTALLED], ["of_its_own"], strides=(2,), dtypes=("float32",))
    finally:
        lb.unregister("of_its_own")
    emitted = [row for row in result.rows if row.emitted]
    assert {row.status for row in emitted} <= {"matches", "unavailable"}
    held = {row.layout for row in emitted if row.framework == "tensorflow"}
    assert held in (set(), {"NCHW"} if pattern.endswith("(q c)") else {"NCHW", "NHWC"})


READ = [
    "c h w -> c h w[::-1]",
    "c h w -> c h[::-1] w[::-1]",
    "c h w -> c w[::-1] h",
    "c h w -> c[0 2 3 1] h w",
    "(g d) h w -> (g[2 0 1] d) h w",
    "c (h p:2) (w q:2) -> (p[::-1] q c[2 0 1 3]) h w",
    "C H W | a:3 b:C*H*W/3 -> b a[2 0 1] | C H W",
    "(g d) k -> (g[0 2 3 1] d) k",
    "a -> a[::-1]",
]


@pytest.mark.parametrize("record", INSTALLED, ids=lambda record: record.name)
@pytest.mark.parametrize("pattern", READ)
def test_digits_read_in_an_order_are_emitted(record, pattern):
    operation = lb.Rearrangement(pattern).named("read")
    for runnable in record.runnables(2, [operation]):
        if runnable.emitted and runnable.layout == "NCHW":
            for shape in list(shapes_for(operation))[:2]:
                for dtype in ("float32", "uint8"):
                    found = recover(runnable.run, shape, np.dtype(dtype))
                    assert found.out_shape == operation.out_shape(shape)
                    np.testing.assert_array_equal(found.table, operation.table(shape))

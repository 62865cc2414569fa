"""Every form of an entry, whatever the number of its axes, emitted and run in every installed framework."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.frameworks.table import frameworks
from layoutbridge.recognition.recover import recover
from layoutbridge.recognition.verification import shapes_for

INSTALLED = [record for record in frameworks() if record.installed()]
ASKED = [{"stride": (1, 4)}, {"stride": (3, 2)}, {"spatial": 1}, {"spatial": 3}, {"stride": (2, 1, 3)}]


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

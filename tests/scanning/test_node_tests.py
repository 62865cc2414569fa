"""ONNX's own node tests: every movement in them is followed right, and no model is a fault."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import LayoutBridgeError

pytest.importorskip("onnx", reason="ONNX is not installed")
# Branches of other shapes, of which one would be taken.
AMBIGUOUS = {"test_affine_grid_3d_expanded", "test_affine_grid_3d_align_corners_expanded"}
MOVING = {"DepthToSpace", "Einsum", "Flatten", "Reshape", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze"}
# Their operands are inputs of the tests' models, and joins lie side by side: that is told.
TOLD = {"Compress", "Concat", "Gather", "GatherElements", "GatherND", "ReverseSequence", "Slice", "Tile"}


def elements(place, x):
    """What the place makes of `x`, flat."""
    if place.seen.table is not None:
        return x.reshape(-1)[place.seen.table.reshape(-1)]
    return x.reshape(-1) if place.kind == "view" else lb.Rearrangement(place.pattern)(x).reshape(-1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_is_followed_is_what_the_test_expects():
    from onnx.backend.test.case.node import collect_testcases

    followed, told, refused = set(), set(), []
    for case in collect_testcases(None):
        if case.model is None:
            continue
        try:
            found = lb.scan(case.model)
        except LayoutBridgeError as error:
            refused.append(f"{case.name}: {error}")
            continue
        own = {node.op_type for node in case.model.graph.node}
        if len(case.model.graph.node) == 1 and own <= (MOVING | TOLD) - {"Einsum"} and not found.places:
            outputs = case.data_sets[0][1] if case.data_sets else []
            assert found.notes or all(np.size(y) < 2 for y in outputs), case.name
            told.update(own)
        names = [[value.name for value in values] for values in (case.model.graph.input, case.model.graph.output)]
        for inputs, outputs in case.data_sets:
            given, wanted = (dict(zip(*pair, strict=False)) for pair in zip(names, (inputs, outputs), strict=True))
            for place in found.places:
                x, y = given.get(place.inputs[0]), wanted.get(place.output)
                if x is None or y is None or np.shape(x) != place.seen.in_shape:
                    continue
                assert np.shape(y) == place.seen.out_shape, case.name
                np.testing.assert_array_equal(elements(place, np.asarray(x)), np.ravel(y), case.name)
                followed.update(node.op_type for node in case.model.graph.node)
    assert followed >= MOVING and told >= TOLD
    assert {told.partition(":")[0] for told in refused} <= AMBIGUOUS

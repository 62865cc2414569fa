"""Runs ONNX files in one version of OpenCV: a line of JSON in, one out. It imports nothing of ours. Not a test itself.

Old versions want an old NumPy, so that each is a process of its own.
"""

import json
import sys

import cv2
import numpy as np


def layer_of(net, name):
    """What the version calls the layer of this output: the output's name, or the node's with a mark before it."""
    known = net.getLayerNames()
    named = (one for one in known if one.removeprefix("onnx_node!").partition("/")[0] == name)
    return name if name in known else next(named, name)


def run(job):
    net = cv2.dnn.readNetFromONNX(job["model"])
    with np.load(job["inputs"]) as inputs:
        for name in inputs.files:
            net.setInput(inputs[name], name)
    try:
        outputs = net.forward(job["outputs"])
    except cv2.error:
        outputs = net.forward([layer_of(net, name) for name in job["outputs"]])
    np.savez(job["results"], **dict(zip(job["outputs"], outputs, strict=True)))


if __name__ == "__main__":
    print(json.dumps({"version": cv2.__version__}), flush=True)
    for line in sys.stdin:
        try:
            run(json.loads(line))
            print(json.dumps({}), flush=True)
        except Exception as error:
            print(json.dumps({"error": str(error)[-400:]}), flush=True)

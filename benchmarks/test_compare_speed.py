"""`compare` of YOLOv2 with its ONNX port, beside the sum of a run of each; and what comparing YOLOv4 takes of memory.

python -m pytest benchmarks/test_compare_speed.py -q -s
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

import layoutbridge as lb
from benchmarks.detectors import detector, yolov2
from tests.darknet_files import SHARED, synthetic_weights

MOST_RUNS = 3.0
MOST_MEGABYTES = 2000
MEASURED = """
import resource, sys
import layoutbridge as lb
net = lb.darknet.load(sys.argv[1], sys.argv[2], size=(416, 416))
net.to_onnx(sys.argv[3])
assert lb.compare(net, sys.argv[3]).equal
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""

"""NumPy's record."""

from layoutbridge.frameworks.framework import Framework, Tensors
from layoutbridge.frameworks.numpy.code import write_code
from layoutbridge.frameworks.numpy.emission import EXTRA, emit, installed, runnables, save

RECORD = Framework(
    name="numpy",
    extra=EXTRA,
    installed=installed,
    emit=emit,
    save=save,
    writes=(".npy",),
    runnables=runnables,
    code=write_code,
    tensors=Tensors("a NumPy array", lambda function, x: function(x)),
)

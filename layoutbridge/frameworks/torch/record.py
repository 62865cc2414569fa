"""PyTorch's record."""

from layoutbridge.frameworks.framework import Framework, Tensors
from layoutbridge.frameworks.torch.calling import call, is_module
from layoutbridge.frameworks.torch.code import write_code
from layoutbridge.frameworks.torch.emission import EXTRA, emit, installed, runnables, save

RECORD = Framework(
    name="torch",
    extra=EXTRA,
    installed=installed,
    emit=emit,
    save=save,
    writes=(".pt2",),
    runnables=runnables,
    code=write_code,
    tensors=Tensors("a torch tensor", call, is_module),
)

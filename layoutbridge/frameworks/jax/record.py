"""JAX's record."""

from layoutbridge.frameworks.framework import Framework, Tensors
from layoutbridge.frameworks.jax.code import write_code
from layoutbridge.frameworks.jax.emission import EXTRA, emit, installed
from layoutbridge.frameworks.jax.files import ENDING, load_exported, save
from layoutbridge.frameworks.jax.running import call, runnables

RECORD = Framework(
    name="jax",
    extra=EXTRA,
    installed=installed,
    emit=emit,
    save=save,
    writes=(ENDING,),
    runnables=runnables,
    code=write_code,
    reads={ENDING: load_exported},
    tensors=Tensors("a JAX array", call),
)

"""JAX: it has no op of this kind but patches, by a convolution."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import Layout

_DOCS = "https://docs.jax.dev/en/latest/_autosummary/jax.lax.conv_general_dilated_patches.html"
_SETUP = """import jax
jax.config.update('jax_enable_x64', True)
@jax.jit
def f(x):
    form = ('{layout}', '{weights}', '{layout}')
    return jax.lax.conv_general_dilated_patches(x, (s, s), (s, s), 'VALID', dimension_numbers=form)"""
_GRADIENT = "y = np.asarray(jax.vjp(f, jax.numpy.asarray(x))[1](jax.numpy.asarray(upstream))[0])"


def _cell(layout: Layout, weights: str) -> Cell:
    return Cell(
        "lax.conv_general_dilated_patches", "y = np.asarray(f(x))", "", layout, documented="space_to_depth_crd",
        source=_DOCS, setup=_SETUP.format(layout=layout, weights=weights), gradient=_GRADIENT,
    )  # fmt: skip


SUBJECT = Subject(
    "jax", "JAX", "runtime", BESIDE, distribution_version("jax", "jaxlib"),
    (_cell("NCHW", "OIHW"), _cell("NHWC", "HWIO")),
)  # fmt: skip

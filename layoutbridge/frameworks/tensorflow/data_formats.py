"""How a layer's tensors are held: Keras' two names for it, and which layout each is."""

from __future__ import annotations

from layoutbridge.errors import ParameterError, shown
from layoutbridge.frameworks.base import Layout

LAYOUTS: dict[str, Layout] = {"channels_first": "NCHW", "channels_last": "NHWC"}
DATA_FORMATS = ("channels_last", "channels_first")


def check_data_format(data_format: str) -> None:
    """Raise `ParameterError` for a format there is not."""
    if data_format not in DATA_FORMATS:
        raise ParameterError(f"data_format is {' or '.join(DATA_FORMATS)}, not {shown(data_format)}")

"""Assertions for tests of ports: `assert_same_layout`, `assert_same_model`. They need no pytest.

pytest imports this package whenever it starts, so what the assertions need is imported when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layoutbridge.testing.layouts import assert_same_layout
    from layoutbridge.testing.models import assert_same_model

_HOMES = {"assert_same_layout": "layouts", "assert_same_model": "models"}

__all__ = ["assert_same_layout", "assert_same_model"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'layoutbridge.testing' has no attribute {name!r}")
    value = getattr(import_module(f"layoutbridge.testing.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

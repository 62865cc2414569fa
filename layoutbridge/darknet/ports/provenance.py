"""Where an exported file comes from: what files tell of themselves in formats with room for metadata."""

from __future__ import annotations

import hashlib
import os

from layoutbridge.darknet.structure.model import Network
from layoutbridge.inputs import opened


def origin(network: Network) -> dict[str, str]:
    """layoutbridge's version, the cfg's name, the flavor, and activations that were chosen (`silu=swish`)."""
    from layoutbridge.version import __version__

    told = {"layoutbridge_version": __version__, "source": network.source, "flavor": network.flavor}
    chosen = ",".join(f"{name}={meaning}" for name, meaning in network.activations)
    return told | ({"activations": chosen} if chosen else {})


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of the file at `path`, in hexadecimal; `UnusableInputError` where it cannot be read."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

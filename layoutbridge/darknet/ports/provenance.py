"""Where an exported file comes from: what files tell of themselves in formats with room for metadata."""

from __future__ import annotations

import hashlib
import os

from layoutbridge.darknet.structure.model import Network
from layoutbridge.inputs import opened, refuse_changed


def origin(network: Network) -> dict[str, str]:
    """layoutbridge's version, the cfg's name, the flavor, and activations that were chosen (`silu=swish`)."""
    from layoutbridge.version import __version__

    told = {"layoutbridge_version": __version__, "source": network.source, "flavor": network.flavor}
    chosen = ",".join(f"{name}={meaning}" for name, meaning in network.activations)
    return told | ({"activations": chosen} if chosen else {})


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of the file at `path`, in hexadecimal.

    Raises `UnusableInputError` where it cannot be read, and where it is no more the `ReadFile` that `path` is: the hash
    would be that of another network.
    """
    with opened(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        refuse_changed(file, path)
        return digest

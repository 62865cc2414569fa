"""Where an exported file comes from: what files tell of themselves in formats with room for metadata."""

from __future__ import annotations

import hashlib
import os

from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import UnusableInputError
from layoutbridge.inputs import ReadFile, opened, stamp_of


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
        if isinstance(path, ReadFile) and stamp_of(os.fstat(file.fileno())) != path.stamp:
            raise UnusableInputError(f"'{os.fspath(path)}' has changed since it was read: load it again")
        return digest

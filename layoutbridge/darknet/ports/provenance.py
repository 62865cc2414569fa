"""Where an exported file comes from: what files tell of themselves in formats with room for metadata."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from zipfile import ZipFile, ZipInfo

from layoutbridge.darknet.detection.boxes import head_rules
from layoutbridge.darknet.ports.outputs import class_tree, is_classifier
from layoutbridge.darknet.ports.readers import ultralytics
from layoutbridge.darknet.ports.records.tuned import TUNED, Tuned
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, UnsupportedError, shown
from layoutbridge.frameworks.base import ABOUT, check_count
from layoutbridge.inputs import opened, refuse_changed

BOX_UNIT, IN_SHARES = "box_unit", "shares of the input"  # where another head than boxes has these, not pixels


def origin(network: Network) -> dict[str, str]:
    """layoutbridge's version, the cfg's name, the flavor, and activations that were chosen (`silu=swish`)."""
    from layoutbridge.version import __version__

    told = {"layoutbridge_version": __version__, "source": network.source, "flavor": network.flavor}
    chosen = ",".join(f"{name}={meaning}" for name, meaning in network.activations)
    return told | ({"activations": chosen} if chosen else {})


def about(
    network: Network,
    head: str,
    names: Sequence[str] | None = None,
    *,
    input_layout: str = "NCHW",
    nms_kind: str | None = None,
    batch: int | None = None,
    tuned: Tuned | None = None,
) -> dict[str, str]:
    """All that a program needs to feed the file and to read its outputs: texts by name.

    `head` is one of `heads.HEADS`, `names` are the classes', `nms_kind` that of a suppression within the file, `batch`
    the file's, None where it is open, and `tuned` says how its form was chosen.
    Raises `ParameterError` where there are more or fewer names than the network has classes, or one is no text, and for
    a batch that is no number of pictures.
    """
    check_count("the batch", batch, may_be_open=True)
    _check_names(network, names)
    told = {**origin(network), "head": head, "input_range": "0..1"}
    if len(network.in_shape) == 3:
        told |= {"input_layout": input_layout} | ({"input_color_order": "RGB"} if network.channels == 3 else {})
    classifies = is_classifier(network)
    told |= ultralytics.told(network, names, batch, classifies=classifies)
    if names is not None:
        told[ultralytics.NAMES] = ultralytics.names_told(names)
    if any(isinstance(layer.settings, Head) for layer in network.layers):
        with suppress(UnsupportedError):  # heads that cannot be joined are still written one by one
            rules = head_rules(network)
            told["head_rules"] = replace(rules, nms_kind=nms_kind or rules.nms_kind).to_json()
    if tuned is not None:
        told[TUNED] = tuned.to_json()
    tree = class_tree(network) if classifies else None
    return told if tree is None else told | {"class_tree": tree.to_json()}


def add_about(path: Path, told: Mapping[str, str], before: Mapping[str, str] = MappingProxyType({})) -> None:
    """Put what `about` tells into the zip archive at `path`, or into one behind what is there.

    Members `before` it are texts by their names.
    """
    with ZipFile(path, "a") as archive:
        for name, text in {**before, ABOUT: json.dumps(dict(told), ensure_ascii=False)}.items():
            archive.writestr(ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)


def _check_names(network: Network, names: Sequence[str] | None) -> None:
    if names is None:
        return
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise ParameterError(f"the names hold {shown(error.object[error.start])}, half of a character") from None
    for layer in network.layers:
        if isinstance(layer.settings, Head) and len(names) != layer.settings.classes:
            raise ParameterError(
                f"{len(names)} names were given and {network.where(layer)}: [{layer.kind}] has "
                f"{layer.settings.classes} classes"
            )


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of the file at `path`, in hexadecimal.

    Raises `UnusableInputError` where it cannot be read, and where it is no more the `ReadFile` that `path` is: the hash
    would be that of another network.
    """
    with opened(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        refuse_changed(file, path)
        return digest

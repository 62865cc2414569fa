"""The files of a target's forms: each written when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.ports.port import Port
from layoutbridge.darknet.quantization.quantizing import quantize
from layoutbridge.darknet.tuning.candidates import INT8, Form, usual_options
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.frameworks.framework import options_of

_NAMES = re.compile(rb'<layer id="\d+" name="[^"]*"')  # OpenVINO numbers them through all that a process writes


@dataclass(frozen=True, slots=True)
class Written:
    """A form's file, the bytes of all its files and a digest of what is in them; or the `reason` why it has none."""

    path: Path | None = None
    size: int | None = None
    digest: str = ""
    reason: str = ""


@dataclass
class Files:
    """The files of the forms of `net` for a target, in folders within `folder`; of equal ones the first alone counts.

    `options` are the writer's for all forms, `calibrate` the pictures for int8.
    """

    target: Port
    net: DarknetNetwork
    options: Mapping[str, Any]
    calibrate: Any
    folder: Path
    report: Callable[[str], None]
    _made: dict[str, Written] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)  # of the files: the form that was first

    def of(self, form: Form) -> Written:
        """The form's file, written if it is not there yet."""
        name = form.in_file or form.name
        if name not in self._made:
            self._made[name] = self._written(form)
        return self._made[name]

    def _written(self, form: Form) -> Written:
        place = self.folder / f"{self.target.name}-{len(self._made)}"
        place.mkdir()
        path = place / f"net{self.target.endings[0]}"
        options = {name: value for name, value in self.options.items() if name in options_of(self.target.write)}
        options = {**usual_options(self.target), **options, **form.options}
        self.report(f"writing {self.target.title}, {form.name}")
        try:
            if form.name == INT8:
                quantize(self.net, path, self.calibrate, to=self.target.name, options=options)
            else:
                self.target.write(self.net.network, self.net.parameters, path, **options)
        except LayoutBridgeError as error:
            return Written(reason=str(error))
        digest, size = sha256(), 0
        for file in sorted(one for one in place.rglob("*") if one.is_file()):
            digest.update(file.name.encode())
            if file.suffix == ".xml":
                digest.update(_NAMES.sub(b"<layer", file.read_bytes()))
            else:
                with file.open("rb") as content:
                    while block := content.read(1 << 22):
                        digest.update(block)
            size += file.stat().st_size
        same = self._digests.setdefault(digest.hexdigest(), form.name)
        if same != form.name:
            return Written(size=size, reason=f"it is the same file as {same}")
        return Written(path, size, digest.hexdigest())

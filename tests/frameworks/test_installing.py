"""What errors say of how an extra is installed: as layoutbridge itself was."""

import json
from importlib import metadata

import pytest

from layoutbridge.frameworks.base import to_install


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (None, "pip install 'layoutbridge[onnx]'"),
        ({"url": "file:///home/me/layout%20bridge", "dir_info": {}}, "pip install '/home/me/layout bridge[onnx]'"),
        ({"url": "file:///home/me/it", "dir_info": {"editable": True}}, "pip install -e '/home/me/it[onnx]'"),
        (
            {"url": "file:///a/layoutbridge-0.1.0.whl", "archive_info": {}},
            "pip install '/a/layoutbridge-0.1.0.whl[onnx]'",
        ),
        ({"url": "https://example.org/it.whl", "archive_info": {}}, "pip install 'layoutbridge[onnx]'"),
    ],
)
def test_an_extra_comes_from_where_layoutbridge_came(tmp_path, monkeypatch, origin, told):
    folder = tmp_path / "layoutbridge-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: layoutbridge\nVersion: 0.1.0\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert to_install("onnx") == told


def test_without_metadata(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert to_install("jax") == "pip install 'layoutbridge[jax]'"

"""Every kind of layer is read, written and computed, and recorded networks of the real Darknet hold each."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.meaning import MEANINGS
from layoutbridge.darknet.reading import READERS
from layoutbridge.darknet.reading.cfg import parse_cfg
from layoutbridge.darknet.reference import RULES
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.darknet.structure.kinds import KINDS
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.darknet.structure.registry import register
from layoutbridge.darknet.structure.settings import Settings
from tests.darknet_files import GOLDEN, NETS, RECURRENT, SEQUENCES, built


@pytest.fixture(scope="module")
def recorded() -> dict[str, Layer]:
    """A layer of each kind from the recorded networks, and one that the real Darknet computes nothing in."""
    networks = [load(NETS / name / "net.cfg", flavor=name.split("/", maxsplit=1)[0]).network for name in GOLDEN]
    networks += [load(RECURRENT / name / "net.cfg", flavor=name.split("/")[0]).network for name in SEQUENCES]
    networks.append(built("[net]\ninputs=4\n[cost]\n"))
    networks.append(built("[net]\nwidth=2\nheight=2\nchannels=1\n[history]\n[contrastive]\n"))
    networks.append(built("[net]\nwidth=2\nheight=2\nchannels=3\n[iseg]\nclasses=2\nids=1\n", "pjreddie"))
    return {layer.kind: layer for network in networks for layer in network.layers}


def test_every_kind_is_read_written_and_computed() -> None:
    assert set(KINDS) == set(READERS) == set(MEANINGS) == set(RULES)


def test_every_kind_is_recorded_and_read_as_what_it_is(recorded: dict[str, Layer]) -> None:
    assert set(recorded) == set(KINDS)
    for kind, layer in recorded.items():
        assert type(layer.settings) is KINDS[kind]


def test_a_table_of_kinds_cannot_be_changed() -> None:
    tables: list[Any] = [KINDS, READERS, MEANINGS, RULES]
    for table in tables:
        with pytest.raises(TypeError):
            del table["reorg"]


def test_a_kind_has_one_function_a_stage() -> None:
    functions: dict[str, object] = {}
    register(functions, [KINDS["reorg"], KINDS["reorg3d"]], test_a_kind_has_one_function_a_stage)
    assert set(functions) == {"reorg", "reorg3d"}
    with pytest.raises(AssertionError, match=r"\[reorg\] has a function"):
        register(functions, [KINDS["reorg"]], print)


def test_settings_are_frozen_and_hashable(recorded: dict[str, Layer]) -> None:
    for layer in recorded.values():
        settings = layer.settings
        assert isinstance(hash(settings), int)
        assert type(settings)(**settings.options()) == settings
        assert not hasattr(settings, "__dict__")
        for field in fields(settings):
            with pytest.raises(FrozenInstanceError):
                setattr(settings, field.name, None)


def test_names_of_sections_belong_to_one_kind() -> None:
    for flavor in FLAVORS:
        known = [settings for settings in KINDS.values() if flavor in settings.flavors]
        names = [name for settings in known for name in (settings.kind, *settings.aliases)]
        assert len(names) == len(set(names))
        for settings in known:
            for name in (settings.kind, *settings.aliases):
                sections, _ = parse_cfg(f"[net]\n[{name}]\n", flavor=flavor)
                assert sections[1].kind == settings.kind


def test_what_darknets_table_says_of_a_kind(recorded: dict[str, Layer]) -> None:
    for layer in recorded.values():
        settings, options = layer.settings, layer.settings.options()
        filters = options.get("filters", options.get("output"))
        assert (layer.out_shape[0] if settings.has_filters else None) == filters
        stride_x, stride_y = (options.get(key, options.get("stride")) for key in ("stride_x", "stride_y"))
        assert settings.strides == (None if stride_x is None else (stride_x, stride_y))
        assert settings.window == (None if layer.kind == "lrn" else options.get("size"))


def test_what_needs_the_range_of_float32() -> None:
    whole = {kind for kind, settings in KINDS.items() if settings.sums_many}
    heads = {kind for kind, settings in KINDS.items() if issubclass(settings, Head)}
    assert heads == {"region", "yolo", "Gaussian_yolo", "detection"}
    assert whole - heads == {
        "softmax", "logistic", "cost", "lrn", "l2norm", "batchnorm", "avgpool", "local_avgpool",
        "contrastive", "iseg", "rnn", "gru", "lstm", "crnn", "conv_lstm",
    }  # fmt: skip
    assert {kind for kind, settings in KINDS.items() if settings.follows_scores} == {
        "softmax", "logistic", "cost", "contrastive", "iseg", "dropout"
    }  # fmt: skip


def test_a_base_is_no_kind() -> None:
    assert "" not in KINDS and not Settings.kind

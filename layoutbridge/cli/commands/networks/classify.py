"""`classify`: what pictures show, by a network or an exported model that classifies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import (
    AsJson,
    AtOnce,
    ClassNames,
    Flavor,
    ModelFile,
    RunsIn,
    Size,
    Sources,
    loaded_network,
    picture_size,
    weights_and_pictures,
)
from layoutbridge.cli.shared.kinds import whole_number
from layoutbridge.cli.shared.printing import console, print_json, print_json_text, remark
from layoutbridge.errors import UnusableInputError

if TYPE_CHECKING:
    from layoutbridge.darknet.classification.classifier import Classifier
    from layoutbridge.darknet.classification.results import Classification


@app.command()
def classify(
    model: ModelFile,
    sources: Sources,
    top: Annotated[int, typer.Option(help="How many of the surest classes.", **whole_number("--top"))] = 5,
    names: ClassNames = None,
    framework: RunsIn = None,
    cfg: Annotated[
        str | None,
        typer.Option(help="The network's .cfg, for models that do not tell what they are.", show_default=False),
    ] = None,
    flavor: Flavor = "alexey",
    size: Size = None,
    batch: AtOnce = 1,
    as_json: AsJson = False,
) -> None:
    """Say what pictures show: the surest classes of a classifier, as Darknet's `classifier predict` does.

    layoutbridge classify vgg-16.cfg vgg-16.weights dog.jpg --names imagenet.names

    layoutbridge classify darknet19.onnx pictures/ --top 1
    """
    from layoutbridge.darknet.classification.classifier import Classifier
    from layoutbridge.darknet.detectors.sources import is_single

    weights, pictures = weights_and_pictures("classify", model, sources)
    net: Any = model
    if weights is not None:
        net = loaded_network(model, weights, flavor=flavor, size=size, upto=None)
    open_size = None if size is None or weights is not None else picture_size(size)
    classifier = Classifier(net, cfg=cfg, names=names, flavor=flavor, framework=framework, size=open_size)
    if len(pictures) == 1 and is_single(pictures[0]):
        from layoutbridge.report.darknet.networks import show_classification

        shown: Classification = classifier.classify(pictures[0], top=top)
        if as_json:
            print_json_text(shown.to_json(indent=2))
        else:
            show_classification(console(), shown)
        return
    several = _several(classifier, pictures, top, batch, quiet=as_json)
    if as_json:
        print_json([one.to_dict() for one in several])


def _several(classifier: Classifier, pictures: list[str], top: int, batch: int, *, quiet: bool) -> list[Classification]:
    """A line each as they come; what cannot be read is told at the end."""
    import warnings

    from layoutbridge.darknet.detectors.detector import Unreadable

    found: list[Classification] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")  # Pillow's, of metadata that are broken: the pictures are read
        warnings.simplefilter("always", Unreadable)
        for source in pictures:
            for one in classifier.stream(source, top=top, batch=batch):
                found.append(one)
                if not quiet:
                    console().print(str(one), highlight=False, markup=False)
    if not found:
        raise UnusableInputError(f"none of {len(told)} pictures can be read: {told[0].message}")
    for each in told:
        remark(f"left out: {each.message}")
    return found

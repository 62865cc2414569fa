"""Pictures in, the surest classes out: a Darknet classifier, one that was exported, or one of YOLOv8's.

A softmax's numbers as they are; with a tree of classes each is multiplied by those above it, and in the original only
classes without others below them count. Of equal ones the first is the surer. Definitions: predict_classifier in
classifier.c, hierarchy_predictions in tree.c and top_k in utils.c of both forks.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.classification.fitting import Preparation, prepare
from layoutbridge.darknet.classification.results import Classification, Classified, ClassScore
from layoutbridge.darknet.detection.names import Names, listed_names
from layoutbridge.darknet.detectors.answers import names_in
from layoutbridge.darknet.detectors.detector import Unreadable
from layoutbridge.darknet.detectors.networks import open_model, read_model
from layoutbridge.darknet.detectors.opened import Opened, Size
from layoutbridge.darknet.detectors.sources import ColorOrder, Frame, frames, is_single, open_frame, readable, through
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.ports.outputs import class_tree, is_classifier, output_name
from layoutbridge.darknet.structure.model import Network
from layoutbridge.darknet.structure.settings import SoftmaxTree
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError, shown
from layoutbridge.frameworks.base import check_count

if TYPE_CHECKING:
    from layoutbridge.darknet.detection.pictures import Picture

TOP = 5
_MOST_AT_ONCE = 1024


class Classifier:
    """A classifier that is loaded once and run on many pictures.

    `model` is a .cfg with its `weights`, a network from `load`, or a file that `export` wrote, with the head `darknet`,
    or one of YOLOv8's classifiers; `weights`, `cfg`, `names`, `flavor`, `framework`, `threads` and the argument `size`
    are those of `Detector`. Names are those given, else the file's, else the tree's, else numbers.

    `size` is (width, height) of the network's input, `preparation` how pictures are brought to it (`fitting`).

    Raises `UnusableInputError` for a file that is no such model and for names that do not fit, `ParameterError` for
    options that do not go with the model, `UnsupportedError` for a network that classifies nothing, and
    `MissingFrameworkError`.

    >>> nets = "fixtures/nets/alexey/classifier"
    >>> classifier = Classifier(f"{nets}/net.cfg", f"{nets}/net.weights", framework="reference")
    >>> classifier.size, len(classifier.names), classifier.preparation
    ((16, 16), 10, 'crop')
    >>> shown = classifier.classify(np.zeros((40, 60, 3), np.uint8), top=2)
    >>> len(shown), shown.probabilities.shape
    (2, (10,))
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | DarknetNetwork,
        weights: str | os.PathLike[str] | None = None,
        *,
        cfg: str | os.PathLike[str] | None = None,
        names: Names | None = None,
        flavor: str = "alexey",
        framework: str | None = None,
        threads: int | None = None,
        size: Size | None = None,
    ) -> None:
        check_count("threads", threads, may_be_open=True)
        listed = None if names is None else listed_names(names)
        given, network = read_model(model, weights, cfg=cfg, flavor=flavor, size=size)
        rules = None if network is None else _rules_of(network)
        self._model = open_model(given, framework, threads or 0, head="darknet", size=size)
        self._rules = rules = _told_rules(self._model) if rules is None else rules
        self.source, self.framework, self.preparation = self._model.source, self._model.framework, rules.preparation
        self.channels, height, width = self._model.in_shape
        self.size = (width, height)
        classes = len(self._scores(np.zeros((1, *self._model.in_shape), np.float32))[0])
        if rules.tree is not None and len(rules.tree.parents) != classes:
            raise UnusableInputError(
                f"'{self.source}' gives {classes} numbers, and its tree has {len(rules.tree.parents)} classes"
            )
        self.names = _names(listed, names_in(self._model), rules.tree, classes)

    def __repr__(self) -> str:
        width, height = self.size
        return f"<Classifier {self.source} in {self.framework}: {width}x{height}, {len(self.names)} classes>"

    def probabilities(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Those of every class, trees multiplied out: float32 [N, classes] for x [N, C, H, W] in 0..1."""
        scores = self._scores(x)
        tree = self._rules.tree
        return scores if tree is None else down_the_tree(scores, tree, only_leaves=self._rules.only_leaves)

    def classify(
        self,
        source: Any,
        *,
        top: int = TOP,
        upright: bool = True,
        color_order: ColorOrder = "RGB",
        batch: int = 1,
    ) -> Any:
        """The `top` surest classes of a picture, as `Classification`; of several, as `Classified`, a list of them.

        `source`, `upright`, `color_order` and `batch` are those of `Detector.detect`. Raises as that does.
        """
        look, read = self._steps(top, upright, color_order, batch)
        if is_single(source):
            (frame,) = frames(source)
            return look([read(frame)])[0]
        found = Classified()
        pictures = through(frames(source), readable(read), look, batch=batch, unreadable=found.unreadable.append)
        found.extend(pictures)
        if not found and found.unreadable:
            raise UnusableInputError(f"none of {len(found.unreadable)} pictures can be read: {found.unreadable[0]}")
        return found

    def stream(
        self,
        source: Any,
        *,
        top: int = TOP,
        upright: bool = True,
        color_order: ColorOrder = "RGB",
        batch: int = 1,
    ) -> Iterator[Classification]:
        """The same picture after picture, for films and cameras; one that cannot be read is a warning, `Unreadable`."""
        look, read = self._steps(top, upright, color_order, batch)

        def tell(fault: str) -> None:
            warnings.warn(fault, Unreadable, stacklevel=4)

        yield from through(frames(source), readable(read), look, batch=batch, unreadable=tell)

    # ------------------------------------------------------------------ the steps

    def _steps(
        self, top: int, upright: bool, color_order: ColorOrder, batch: int
    ) -> tuple[Callable[[list[_Prepared]], list[Classification]], Callable[[Frame], _Prepared]]:
        """How pictures are looked at, and how one is read."""
        check_count("top", top)
        check_count("batch", batch, most=_MOST_AT_ONCE)
        if color_order not in ("RGB", "BGR"):
            raise ParameterError(f"color_order is RGB or BGR, not {shown(color_order)}")

        def read(frame: Frame) -> _Prepared:
            image = open_frame(frame, upright=upright, color_order=color_order)
            return _Prepared(frame, prepare(image, self.channels, self.size, self.preparation))

        def look(pictures: list[_Prepared]) -> list[Classification]:
            together = self.probabilities(np.stack([one.x for one in pictures]))
            return [self._shown(one.frame, row, top) for one, row in zip(pictures, together, strict=True)]

        return look, read

    def _scores(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = self._model.outputs(x)
        output = outputs.get(self._rules.output or "", next(iter(outputs.values())))
        if output.size == 0 or output.size != np.prod(output.shape[:2]):
            raise UnsupportedError(f"'{self.source}' gives {list(output.shape[1:])}: no number a class")
        return np.asarray(output, np.float32).reshape(len(output), -1)

    def _shown(self, frame: Frame, row: NDArray[np.float32], top: int) -> Classification:
        order = np.argsort(-row, kind="stable")[:top].tolist()
        parents = None if self._rules.tree is None else self._rules.tree.parents
        found = [
            ClassScore(
                self.names[index],
                index,
                float(row[index]),
                self.names[parents[index]] if parents is not None and parents[index] >= 0 else None,
            )
            for index in order
        ]
        return Classification(found, row, frame.name, frame=frame.number)


@dataclass(frozen=True, slots=True)
class _Rules:
    """How a classifier is fed and read; `output` is the name of its output, None for its first."""

    preparation: Preparation
    tree: SoftmaxTree | None = None
    only_leaves: bool = False
    output: str | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    frame: Frame
    x: NDArray[np.float32]


def classify(
    model: str | os.PathLike[str] | DarknetNetwork | Classifier,
    picture: Picture,
    *,
    top: int = TOP,
    names: Names | None = None,
    upright: bool = True,
    framework: str | None = None,
) -> Classification:
    """The `top` surest classes of one picture, as Darknet's `classifier predict` gives them.

    `model`, `names` and `framework` are those of `Classifier`, which loads once for many pictures, and may be given
    instead. Raises as that does.
    """
    if isinstance(model, Classifier):
        if names is not None:
            raise ParameterError("a Classifier has its names already: give them when it is made")
        classifier = model
    else:
        classifier = Classifier(model, names=names, framework=framework)
    if not is_single(picture):
        raise ParameterError("classify takes one picture: Classifier(model).classify takes several")
    found: Classification = classifier.classify(picture, top=top, upright=upright)
    return found


def down_the_tree(scores: NDArray[np.float32], tree: SoftmaxTree, *, only_leaves: bool) -> NDArray[np.float32]:
    """Each class's own probability times those of its ancestors, [N, classes]; `only_leaves` leaves 0 to all others.

    >>> tree = SoftmaxTree((-1, -1, 0, 0), (2, 2), ("animal", "car", "dog", "cat"))
    >>> down_the_tree(np.float32([[0.5, 0.5, 0.25, 0.75]]), tree, only_leaves=True).tolist()
    [[0.0, 0.5, 0.125, 0.375]]
    """
    result = scores.copy()
    start = 0
    for size in tree.sizes:
        parent = tree.parents[start]
        if parent >= 0:
            result[:, start : start + size] *= result[:, parent : parent + 1]
        start += size
    if only_leaves:
        result[:, sorted({parent for parent in tree.parents if parent >= 0})] = 0
    return result


# ---------------------------------------------------------------------- what a model says of itself


def _rules_of(network: Network) -> _Rules:
    """Of a Darknet network; raises `UnsupportedError` for one that classifies nothing."""
    if not is_classifier(network):
        last = network.layers[-1] if network.layers else None
        ends = "is empty" if last is None else f"ends in [{last.kind}] {list(last.out_shape)}"
        raise UnsupportedError(
            f"{network.source} {ends}, which is no number a class: what finds objects goes to detect and Detector"
        )
    return _Rules(
        preparation_of(network),
        class_tree(network),
        network.flavor == "pjreddie",
        output_name(network, len(network.layers) - 1),
    )


def preparation_of(network: Network) -> Preparation:
    """How the network's fork brings pictures to a classifier."""
    return "letterbox" if network.flavor == "pjreddie" else "crop"


def _told_rules(model: Opened) -> _Rules:
    """Of a model file, by its metadata; raises where they say too little, with what to give."""
    told, source = model.metadata, model.source
    if "head" not in told and told.get("task") == "classify":
        return _Rules("ultralytics")
    if "head" not in told:
        raise UnusableInputError(
            f"'{source}' was not exported by layoutbridge: its metadata says nothing of how pictures are prepared for "
            "it: give its cfg, if it is a Darknet network's"
        )
    if "head_rules" in told:
        raise UnsupportedError(f"'{source}' finds objects: look with detect and Detector")
    if told["head"] != "darknet":
        raise UnsupportedError(f"'{source}' has the head '{told['head'][:40]}': export it with the head darknet")
    original = told.get("flavor") == "pjreddie"
    return _Rules("letterbox" if original else "crop", _told_tree(told.get("class_tree"), source), original)


def _told_tree(text: str | None, source: str) -> SoftmaxTree | None:
    if text is None:
        return None
    try:
        return SoftmaxTree.from_json(text)
    except ValueError as error:
        raise UnusableInputError(f"'{source}': its metadata class_tree cannot be read ({error})") from None


def _names(
    given: Sequence[str] | None, told: Sequence[str] | None, tree: SoftmaxTree | None, classes: int
) -> list[str]:
    if given is not None and len(given) != classes:
        raise UnusableInputError(f"{len(given)} names were given for the model's {classes} classes")
    for names in (given, told, None if tree is None else tree.names):
        if names is not None and len(names) == classes:
            return [str(name) for name in names]
    return [f"class {number}" for number in range(classes)]

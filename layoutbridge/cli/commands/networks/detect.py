"""`detect`: what a network finds in pictures, folders of them, films and cameras."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import (
    NMS_KINDS_TOLD,
    AsJson,
    AtOnce,
    ClassNames,
    Flavor,
    HeadCfg,
    ModelFile,
    RunsIn,
    Size,
    Sources,
    loaded_network,
    picture_size,
    weights_and_pictures,
    whole,
)
from layoutbridge.cli.shared.kinds import one_of, share
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.printing import console, print_json, print_json_text, progress_console, remark
from layoutbridge.darknet.structure.choices import NMS_KINDS
from layoutbridge.errors import UnusableInputError, counted

if TYPE_CHECKING:
    from layoutbridge.darknet.detection.detections import Detections
    from layoutbridge.darknet.detectors.detector import DetectOptions, Detector


@app.command(name="predict")
@app.command()
def detect(
    model: ModelFile,
    sources: Sources,
    names: ClassNames = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Where to save the drawing; of several a folder.")
    ] = None,
    confidence: Annotated[
        float,
        typer.Option("--threshold", "--confidence", help="Least score of a detection.", **share("--threshold")),
    ] = 0.25,
    nms: Annotated[
        float, typer.Option(help="Overlap from which the weaker box of a class is dropped.", **share("--nms"))
    ] = 0.45,
    nms_kind: Annotated[
        str | None,
        typer.Option(
            help=f"{NMS_KINDS_TOLD}. (default: as the network says)",
            show_default=False,
            **one_of(NMS_KINDS, shown="<kind>"),
        ),
    ] = None,
    letterbox: Annotated[
        bool | None,
        typer.Option("--letterbox/--stretch", help="How the picture is fitted. (default: as the network says)"),
    ] = None,
    most: Annotated[
        str, typer.Option("--max", help="The surest so many of a picture, or all.", metavar="<int 1..|all>")
    ] = "300",
    framework: RunsIn = None,
    cfg: HeadCfg = None,
    flavor: Flavor = "alexey",
    size: Size = None,
    batch: AtOnce = 1,
    labels: Annotated[
        str | None, typer.Option("--save-txt", help="A folder for YOLO's label files.", show_default=False)
    ] = None,
    coco: Annotated[
        str | None, typer.Option("--save-coco", help="A file for COCO's list of results.", show_default=False)
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Find objects in pictures with a network or an exported model, and draw them.

    layoutbridge detect yolov4.cfg yolov4.weights dog.jpg --names coco.names

    layoutbridge detect yolov4.onnx pictures/ -o drawn/ --save-txt labels/
    """
    from layoutbridge.darknet.detectors.detector import Detector
    from layoutbridge.darknet.detectors.sources import is_single
    from layoutbridge.inputs import is_folder

    weights, pictures = weights_and_pictures("detect", model, sources)
    options: DetectOptions = {
        "confidence": confidence,
        "nms": nms,
        "nms_kind": nms_kind,
        "letterbox": letterbox,
        "most": None if most == "all" else whole(most, "--max"),
        "batch": batch,
    }
    single = len(pictures) == 1 and is_single(pictures[0])
    in_folder = single and output is not None and (output.endswith((os.sep, "/")) or is_folder(output))
    if in_folder:
        output = os.path.join(output or "", f"{Path(pictures[0]).stem}{_drawn_ending(pictures[0])}")
    targets = [one for one in (output, coco) if one is not None]
    _refuse_overwriting(targets, [model, weights, names, cfg, *pictures])
    ask_before_overwriting([one for one in targets if single or one != output], force=force)
    _refuse_losses(None if single else output, labels, pictures, force=force)
    net: Any = model
    if weights is not None:
        net = loaded_network(model, weights, flavor=flavor, size=size, upto=None)
    open_size = None if size is None or weights is not None else picture_size(size)
    detector = Detector(net, cfg=cfg, names=names, flavor=flavor, framework=framework, size=open_size)
    stems = _Stems()
    if single:
        found = [_one(detector, pictures[0], output, options, in_folder=in_folder)]
    else:
        found = _several(detector, pictures, output, options, stems, quiet=as_json)
    _save_texts(found, labels, coco, stems)
    if as_json and single:
        print_json_text(found[0].to_json(indent=2))
    elif as_json:
        print_json([one.to_dict() for one in found])
    elif single:
        from layoutbridge.report.darknet.networks import show_detections

        show_detections(console(), found[0])


def _refuse_overwriting(targets: list[str], read: list[str | None]) -> None:
    from layoutbridge.files import refuse_overwriting
    from layoutbridge.inputs import is_folder

    for target in targets:
        if not is_folder(target):
            refuse_overwriting(target, [one for one in read if one is not None])


def _refuse_losses(output: str | None, labels: str | None, pictures: list[str], *, force: bool) -> None:
    """Raise where drawings would take the place of pictures, or found labels that of labels that are there."""
    from layoutbridge.darknet.detectors.films import is_film
    from layoutbridge.darknet.detectors.sources import files_of

    if output is None and labels is None:
        return
    files = [Path(file) for source in pictures if not is_film(source) for file in files_of(source)]
    if output is not None and Path(output).resolve() in {file.resolve().parent for file in files}:
        raise UnusableInputError(f"'{output}' holds the pictures, which drawings would overwrite: give another folder")
    if labels is not None and not force:
        there = next((path for file in files if (path := Path(labels, f"{file.stem}.txt")).exists()), None)
        if there is not None:
            raise UnusableInputError(f"'{there}' exists: give another folder, or --force to overwrite labels")


def _one(
    detector: Detector, picture: str, output: str | None, options: DetectOptions, *, in_folder: bool
) -> Detections:
    from layoutbridge.darknet.detection.drawing import MOST_DRAWN

    found: Detections = detector.detect(picture, **options)
    if output is not None:
        if in_folder:
            _made_folder(os.path.dirname(output))
        found.save(output)
        drawn = f"the surest {MOST_DRAWN:,} of {len(found):,}" if len(found) > MOST_DRAWN else str(len(found))
        remark(f"wrote {output}: {drawn} {'detection' if len(found) == 1 else 'detections'} drawn")
    return found


def _several(
    detector: Detector,
    pictures: list[str],
    output: str | None,
    options: DetectOptions,
    stems: _Stems,
    *,
    quiet: bool,
) -> list[Detections]:
    """A line each as they come, with a bar where the number of pictures is known; drawings into the folder `output`."""
    import warnings
    from contextlib import ExitStack

    from layoutbridge.darknet.detectors.detector import Unreadable
    from layoutbridge.darknet.detectors.sources import how_many
    from layoutbridge.report.progress import count_progress

    folder = None if output is None else _made_folder(output)
    counts = [how_many(one) for one in pictures]
    known = [count for count in counts if count is not None]
    total = sum(known) if len(known) == len(counts) else None
    found: list[Detections] = []
    with ExitStack() as stack:
        told = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("ignore")  # Pillow's, of metadata that are broken: the pictures are read
        warnings.simplefilter("always", Unreadable)
        advance = None if total is None else stack.enter_context(count_progress(progress_console(), "looking"))
        for source in pictures:
            for one in detector.stream(source, **options):
                if folder is not None:
                    one.save(folder / f"{stems.of(one)}{_drawn_ending(one.picture)}")
                one.image = None
                found.append(one)
                if not quiet:
                    console().print(str(one), highlight=False, markup=False)
                if advance is not None and total is not None:
                    advance(len(found) + len(told), total)
    if not found:
        raise UnusableInputError(f"none of {len(told)} pictures can be read: {told[0].message}")
    for each in told:
        remark(f"left out: {each.message}")
    remark(f"{counted(len(found), 'picture')}, {counted(sum(len(one) for one in found), 'detection')}")
    return found


def _made_folder(path: str) -> Path:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableInputError(f"cannot make the folder '{path}': {error.strerror or error}") from None
    return Path(path)


class _Stems:
    """A file's name for each picture, no two alike: those of several folders may bear the same."""

    def __init__(self) -> None:
        self._by_picture: dict[tuple[str | None, int | None], str] = {}
        self._taken: set[str] = set()

    def of(self, found: Detections) -> str:
        """The name of that picture's files, without an ending: always the same one."""
        key = (found.picture, found.frame)
        if key not in self._by_picture:
            plain = Path(found.picture or "picture").stem
            plain += "" if found.frame is None else f"_{found.frame:06}"
            names = (plain if number == 1 else f"{plain}_{number}" for number in count(1))
            self._by_picture[key] = next(name for name in names if name not in self._taken)
            self._taken.add(self._by_picture[key])
        return self._by_picture[key]


def _drawn_ending(picture: str | None) -> str:
    ending = Path(picture or "").suffix.lower()
    return ending if ending in (".png", ".jpg", ".jpeg", ".webp", ".bmp") else ".png"


def _save_texts(found: list[Detections], labels: str | None, coco: str | None, stems: _Stems) -> None:
    import json

    from layoutbridge.files import whole_file

    if labels is not None:
        folder = _made_folder(labels)
        for one in found:
            with whole_file(folder / f"{stems.of(one)}.txt") as temporary:
                temporary.write_text(f"{text}\n" if (text := one.to_yolo()) else "", encoding="utf-8")
    if coco is not None:
        entries = [entry for one in found for entry in one.to_coco(stems.of(one))]
        with whole_file(coco) as temporary:
            temporary.write_text(json.dumps(entries), encoding="utf-8")

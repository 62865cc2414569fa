"""The settings of detection layers: those that boxes are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from layoutbridge.darknet.structure.settings import Range, Settings, SoftmaxTree, words

_TRAINING = words(
    "jitter resize random ignore_thresh truth_thresh thresh iou_thresh max max_boxes map focal_loss "
    "label_smooth_eps objectness_smooth iou_loss iou_normalizer obj_normalizer cls_normalizer delta_normalizer "
    "uc_normalizer iou_thresh_kind nms_kind beta_nms max_delta counters_per_class show_details show_details_tracking "
    "embedding_layer sim_thresh dets_for_track dets_for_show track_ciou_norm track_history_size "
    "absolute bias_match rescore object_scale noobject_scale class_scale mask_scale coord_scale log sqrt "
    "only_objectness forced reorg classes_multipliers classfix"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head(Settings):
    """A detection layer.

    The last one's `nms_kind` and `beta_nms` say how boxes are suppressed; only the main fork's newer heads have them.
    """

    sums_many = True
    gated: ClassVar[bool] = True  # whether a box counts only where its objectness is over the threshold

    classes: int
    num: int  # boxes of one place
    coords: int = 4  # numbers of a box that say where it is
    tree: SoftmaxTree | None = None  # of its classes
    nms_kind: str = "default"
    beta_nms: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Region(Head):
    """[region]: YOLOv2's head.

    `anchors` are widths and heights in turns, in places of the grid. The logistic goes over the entries of each box
    that `logistic` names, the softmax over `softmax_entries`, group by group where there is a tree. `channels_last`
    is the main fork's order: [H, W, num, entries] under a [C, H, W] label. Boxes under `least_objectness` are none, in
    the main fork with classfix=-1.
    """

    kind = "region"
    training_options = _TRAINING

    anchors: tuple[float, ...]
    background: bool
    logistic: tuple[Range, ...]
    softmax_entries: Range | None
    channels_last: bool
    entries: int  # numbers of one box
    least_objectness: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloHead(Head):
    """What [yolo] and [Gaussian_yolo] have in common.

    `num` are the boxes of this head, and `mask` says which anchors of the cfg are theirs; `anchors` are widths
    and heights in turns, in pixels of the network's input. The logistic goes over the entries of each box that
    `logistic` names; then x and y become scale_x_y·v − (scale_x_y − 1)/2.
    """

    training_options = _TRAINING

    mask: tuple[int, ...]
    anchors: tuple[float, ...]
    new_coords: bool  # w and h are (2·v)² in place of exp(v)
    scale_x_y: float
    entries: int  # numbers of one box
    logistic: tuple[Range, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yolo(YoloHead):
    """[yolo]: the head of YOLOv3 and later; a box's entries are x, y, w, h, objectness, classes."""

    kind = "yolo"


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianYolo(YoloHead):
    """[Gaussian_yolo], the main fork's: x, σx, y, σy, w, σw, h, σh, objectness, classes."""

    kind = "Gaussian_yolo"
    flavors = ("alexey",)

    yolo_point: str  # the point that x and y are of: center, left_top, right_bottom


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionHead(Head):
    """[detection]: the first YOLO's head, a vector: classes of side × side places, then objectness, then boxes."""

    kind = "detection"
    training_options = words(
        "max_boxes max jitter resize random forced reorg rescore object_scale noobject_scale class_scale coord_scale "
        "sqrt"
    )
    gated = False

    side: int
    softmax: bool  # over each place's classes
    sqrt: bool  # whether w and h are roots

"""The options that Darknet reads and that change nothing outside training, by kind of section.

Only what neither these lists nor a layer's own reader names is reported as unused. Definition: parser.c of both
forks; here they stand together, for a key of the other fork's training does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BOXES = _keys(
    "jitter resize random ignore_thresh truth_thresh thresh iou_thresh max max_boxes map focal_loss "
    "label_smooth_eps objectness_smooth iou_loss iou_normalizer obj_normalizer cls_normalizer delta_normalizer "
    "uc_normalizer iou_thresh_kind nms_kind beta_nms max_delta counters_per_class show_details show_details_tracking "
    "embedding_layer sim_thresh dets_for_track dets_for_show track_ciou_norm track_history_size "
    "absolute bias_match rescore object_scale noobject_scale class_scale mask_scale coord_scale log sqrt "
    "only_objectness forced reorg classes_multipliers"
)

EVERY_LAYER = _keys(
    "truth onlyforward stopbackward dontsave dontload numload dontloadscales learning_rate smooth clip "
    "dynamic_minibatch dont_update burnin_update train_only_bn"
)

NET = _keys(
    "batch learning_rate learning_rate_min batches_per_cycle batches_cycle_mult momentum decay subdivisions "
    "time_steps track augment_speed init_sequential_subdivisions sequential_subdivisions contrastive "
    "contrastive_jit_flip contrastive_color unsupervised try_fix_nan weights_reject_freq equidistant_point "
    "badlabels_rejection_percentage num_sigmas_reject_badlabels ema_alpha badlabels_reject_threshold "
    "delta_rolling_max delta_rolling_avg delta_rolling_std seen workspace_size_limit_MB adam B1 B2 eps notruth "
    "max_crop min_crop max_ratio min_ratio center clip flip blur gaussian_noise mixup cutmix mosaic mosaic_bound "
    "letter_box label_smooth_eps resize_step attention adversarial_lr max_chart_loss angle aspect saturation "
    "exposure hue power policy burn_in step scale steps scales seq_scales gamma max_batches random "
    "optimized_memory"
)

OF_KIND: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "convolutional": _keys(
            "binary bin_output dot sway rotate stretch stretch_sway angle grad_centr reverse coordconv stream "
            "wait_stream assisted_excitation"
        ),
        "route": _keys("stream wait_stream"),
        "dropout": _keys("probability dropblock dropblock_size_rel dropblock_size_abs"),
        "crop": _keys("flip angle saturation exposure shift"),
        "cost": _keys("type scale ratio noobj thresh"),
        "softmax": _keys("noloss"),
        "implicit": _keys("std"),
        "region": _BOXES,
        "yolo": _BOXES,
        "Gaussian_yolo": _BOXES,
        "detection": _keys(
            "max_boxes max jitter resize random forced reorg rescore object_scale noobject_scale class_scale "
            "coord_scale sqrt"
        ),
    }
)

"""The options that Darknet reads and that change nothing outside training: of every layer, and of [net].

Those of one kind of layer are its `training_options`. Only what neither these nor a layer's own reader names is
reported as unused. Definition: parser.c of both forks; here they stand together, for a key of the other fork's training
does no harm.
"""

from __future__ import annotations

from layoutbridge.darknet.structure.settings import words

EVERY_LAYER = words(
    "truth onlyforward stopbackward dontsave dontload numload dontloadscales learning_rate smooth clip "
    "dynamic_minibatch dont_update burnin_update train_only_bn"
)

NET = words(
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

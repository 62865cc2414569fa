"""Layers and options that no recorded network has, as cfg texts with the fork that has them. Not a test itself."""

import pytest

NET = "[net]\nwidth=12\nheight=8\nchannels=6\n"
CONV = "[convolutional]\nfilters=6\nsize=3\npad=1\nactivation=linear\n"
TREE = "animal -1\nplant -1\ncat 0\ndog 0\nfish 0\noak 1\nrose 1\nterrier 3\n"  # groups of 2, 3, 2 and 1
JOINED = (
    CONV * 2 + "[route]\nlayers=-2\n" + CONV + "[route]\nlayers=-1,-3\n" + CONV
)  # what two layers give, read there alone
SIGNS = CONV + (
    "[convolutional]\nfilters=32\nactivation=relu\n"
    "[convolutional]\nfilters=4\nxnor=1\nbin_output=1\nactivation=linear\n"
)

LAYERS = {
    "second_order": (CONV * 2 + "[shortcut]\nfrom=-2\nsecond_order=1\nepsilon=0.01\nactivation=relu\n", "both"),
    "maxpool_depth": ("[maxpool]\nmaxpool_depth=1\nout_channels=4\n", "alexey"),
    "maxpool_depth_of_groups": ("[maxpool]\nmaxpool_depth=1\nout_channels=3\n", "alexey"),
    "maxpool_depth_blurred": ("[maxpool]\nstride=2\nmaxpool_depth=1\nout_channels=3\nantialiasing=1\n", "alexey"),
    "maxpool_strides": ("[maxpool]\nsize=3\nstride_x=2\nstride_y=1\n", "alexey"),
    "maxpool_blurred_2x2": ("[maxpool]\nsize=2\nstride=2\nantialiasing=2\n", "alexey"),
    "conv_strides": (
        "[convolutional]\nfilters=5\nsize=3\npad=1\nstride_x=2\nstride_y=1\nbatch_normalize=1\nactivation=mish\n",
        "alexey",
    ),
    "conv_blurred": (
        "[convolutional]\nfilters=5\nsize=3\npad=1\nstride=2\nantialiasing=1\nbatch_normalize=1\nactivation=relu\n",
        "alexey",
    ),
    "upsample_scaled": ("[upsample]\nstride=3\nscale=0.7\n", "both"),
    "upsample_reduced": ("[upsample]\nstride=-4\nscale=1.5\n", "both"),
    "temperature": ("[softmax]\ntemperature=3\ngroups=4\n", "both"),
    "batchnorm": ("[batchnorm]\n", "both"),
    "lrn": ("[lrn]\nsize=4\nalpha=0.5\nbeta=0.6\nkappa=2\n", "both"),
    "crop_plain": ("[crop]\ncrop_width=5\ncrop_height=3\nnoadjust=1\n", "both"),
    "implicit_kept": (CONV + "[implicit]\nfilters=6\n[route]\nlayers=-1\n[shortcut]\nfrom=-3\nactivation=linear\n", ""),
    "implicit_added": ("[implicit]\nfilters=4\natoms=3\n[route]\nlayers=0,0\n", "alexey"),
    "deconvolutional": (
        "[deconvolutional]\nfilters=5\nsize=4\nstride=2\npadding=1\nbatch_normalize=1\nactivation=leaky\n",
        "pjreddie",
    ),
    "route_of_mixed_shapes": (CONV + "[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,-2\n", "both"),
    "flat_input": ("[connected]\noutput=7\nbatch_normalize=1\nactivation=ramp\n[dropout]\n[logistic]\n", "pjreddie"),
    "new_coords": ("[yolo]\nclasses=1\nnum=1\nmask=0\nanchors=3,4\nnew_coords=1\nscale_x_y=2\n", "alexey"),
    "aliases": (CONV + "[dropout]\n[empty]\n[route]\nlayers=-1\n[cost]\n", "alexey"),
    "alpha_on_part": (
        CONV + "[convolutional]\nfilters=4\nsize=1\n[shortcut]\nfrom=-2\nalpha=0.5\nbeta=2\n",
        "pjreddie",
    ),
    "wide_onto_narrow": (
        "[convolutional]\nfilters=9\nsize=1\nstride=2\n[convolutional]\nfilters=4\nsize=2\nstride=2\n"
        "[shortcut]\nfrom=-2\nalpha=0.25\n",
        "pjreddie",
    ),
    "small_onto_large": (
        "[convolutional]\nfilters=9\nsize=2\nstride=2\n[upsample]\nstride=2\n[shortcut]\nfrom=-2\nalpha=0.25\nbeta=3\n",
        "pjreddie",
    ),
}
CASES = [
    pytest.param(text, flavor, id=f"{name}-{flavor}")
    for name, (text, where) in LAYERS.items()
    for flavor in ({"both": ("alexey", "pjreddie"), "": ()}.get(where, (where,)))
]

"""Files that would run code, read or write other files, or fill the memory, were they read as Keras models."""

import base64
import io
import json
import marshal
import pickle
from pathlib import Path
from zipfile import ZipFile

METADATA = json.dumps({"keras_version": "3.12.0", "date_saved": "2026-01-01@00:00:00"})


def named(module, class_name, config, **more):
    """An object as a config names it."""
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None, **more}


def tensor(shape=(None, 4), layer="input"):
    """What a layer is called with: the first output of `layer`."""
    history = [layer, 0, 0]
    return {"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": "float32", "keras_history": history}}


def model(layer, *, args=None, kwargs=None):
    """A functional model of an input and `layer`, which is called with `args`: with the input where none are given."""
    start = named("keras.layers", "InputLayer",
                  {"batch_shape": [None, 4], "dtype": "float32", "sparse": False, "name": "input"})  # fmt: skip
    args = [tensor()] if args is None else args
    layer = {**layer, "name": "layer", "inbound_nodes": [{"args": args, "kwargs": kwargs or {}}]}
    layers = [{**start, "name": "input", "inbound_nodes": []}, layer]
    inner = {"name": "model", "trainable": True, "layers": layers, "input_layers": ["input", 0, 0],
             "output_layers": ["layer", 0, 0]}  # fmt: skip
    return named("keras.src.models.functional", "Functional", inner)


def sequential(*layers):
    """A sequential model of `layers`, behind an input."""
    start = named("keras.layers", "InputLayer", {"batch_shape": [None, 4], "dtype": "float32", "name": "input"})
    return named("keras", "Sequential", {"name": "model", "layers": [start, *layers]})


def weights(fill=None):
    """The bytes of model.weights.h5; `fill` writes into the open file."""
    import h5py

    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        if fill is not None:
            fill(file)
    return held.getvalue()


def write(path, config, *, metadata=METADATA, compression=0, **members):
    """A .keras file with this config (a dict, or text as it is) and weights without any, and `members` beside them."""
    text = config if isinstance(config, (str, bytes)) else json.dumps(config)
    held = {"metadata.json": metadata, "config.json": text, "model.weights.h5": weights()}
    held |= {name.replace("__", "/"): content for name, content in members.items()}
    with ZipFile(path, "w", compression) as archive:
        for name, content in held.items():
            if content is not None:
                archive.writestr(name, content)
    return Path(path)


def code(marker):
    """A function that writes the file `marker`, as Keras marshals lambdas."""
    function = eval(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]")
    return base64.b64encode(marshal.dumps(function.__code__)).decode()


def marshalled(marker):
    return {"class_name": "__lambda__", "config": {"code": code(marker), "defaults": None, "closure": None,
                                                   "value": code(marker)}}  # fmt: skip


def lambda_layer(function, **arguments):
    return named("keras.layers", "Lambda", {"name": "layer", "function": function, "arguments": arguments})


def keras_function(module, name):
    return named(module, "function", name)


class Pickled:
    """What writes the file `marker` when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def configs(folder, write=True):
    """Every config that names code or a file, by what it tries; `marker` appears in `folder` where one succeeds.

    What they name beside the file, a module and a text, is written to `folder` unless `write` says no.
    """
    marker, secret = folder / "marker", folder / "secret.txt"
    if write:
        (folder / "evil_module.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")
        secret.write_text("one\ntwo\n")
    pickled = base64.b64encode(pickle.dumps(Pickled(marker))).decode()
    evil = lambda_layer(marshalled(marker))
    get_file = lambda_layer(keras_function("keras.utils", "get_file"), origin=secret.as_uri(),
                            cache_dir=str(folder), cache_subdir=".", extract=False)  # fmt: skip
    loads = lambda_layer(keras_function("keras.saving", "load_model"), safe_mode=False)
    unsafe = lambda_layer(keras_function("keras.config", "enable_unsafe_deserialization"))
    run = named("subprocess", "run", {})
    return {
        "a marshalled lambda": model(evil),
        "a marshalled lambda, in a sequential model": sequential(evil),
        "a marshalled lambda, in a wrapper and of no module": model(
            named("keras.layers", "TimeDistributed", {"layer": {"class_name": "Lambda", "config": evil["config"]}})
        ),
        "a marshalled lambda as an activation": model(
            named("keras.layers", "Dense", {"units": 2, "activation": marshalled(marker)})
        ),
        "a marshalled lambda as a loss": {**model(named("keras.layers", "ReLU", {})),
                                          "compile_config": {"optimizer": "sgd", "loss": marshalled(marker)}},
        "a marshalled lambda among the arguments": model(named("keras.layers", "ReLU", {}),
                                                         kwargs={"training": marshalled(marker)}),
        "a program": model(run, args=[["touch", str(marker)]]),
        "a program as a function": model(lambda_layer(keras_function("os", "system")), args=[f"touch {marker}"]),
        "a module beside the file": model(named("evil_module", "Evil", {})),
        "a module under a layer's registered name": model(
            named("evil_module", "Evil", {}) | {"registered_name": "Custom>Evil"}
        ),
        "a module of ours that is none": model(named("layoutbridge.cli", "main", {})),
        "a module of Keras' that is none of a model's": model(named("keras.src.utils.file_utils", "Archive", {})),
        "a builtin": model(named("builtins", "exec", {}), args=[f"open({str(marker)!r}, 'w')"]),
        "a file to fetch": model(get_file, args=[marker.name]),
        "a file to fetch, as an activation": model(
            named("keras.layers", "Activation", {"activation": keras_function("keras.utils", "get_file")})
        ),
        "another file to load": model(loads, args=[str(folder / "other.keras")]),
        "unsafe reading from now on": sequential(unsafe, evil),
        "a SavedModel": model(named("keras.layers", "TFSMLayer", {"filepath": str(folder / "saved"),
                                                                  "call_endpoint": "serve"})),
        "a module of PyTorch's": model(named("keras.layers", "TorchModuleWrapper", {"module": pickled})),
        "a function of JAX's": model(named("keras.layers", "JaxLayer", {"call_fn": marshalled(marker)})),
        "a function of Flax's": model(named("keras.layers", "FlaxLayer", {"module": pickled})),
        "a vocabulary": model(named("keras.layers", "StringLookup", {"vocabulary": str(secret)})),
        "a vocabulary of numbers": model(named("keras.layers", "IntegerLookup", {"vocabulary": str(secret)})),
        "a vocabulary of texts": model(named("keras.layers", "TextVectorization", {"vocabulary": str(secret)})),
        "a specification of TensorFlow's": model(
            {"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow", "config": [[1], "x"],
             "registered_name": None}
        ),
        "an array of objects": model(
            named("keras.layers", "ReLU", {"max_value": {"class_name": "__numpy__",
                                                         "config": {"value": [1], "dtype": "O"}}})
        ),
        "an array of wide strings": model(
            named("keras.layers", "ReLU", {"max_value": {"class_name": "__numpy__",
                                                         "config": {"value": ["a"], "dtype": "S2000000000"}}})
        ),
        "a loop without end": model(named("keras.src.ops.core", "WhileLoop", {
            "cond": keras_function("keras.ops", "ones_like"), "body": keras_function("keras.ops", "relu"),
            "maximum_iterations": None})),
        "a class under no name": model({"module": "keras.layers", "class_name": ["Lambda"], "config": {}}),
    }  # fmt: skip

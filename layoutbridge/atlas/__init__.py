"""The atlas: what the layout ops of runtimes, importers and converters really do, measured by running them."""

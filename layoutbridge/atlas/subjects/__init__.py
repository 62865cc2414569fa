"""One module a subject: the ops of a runtime, an importer or a converter, each as the text of its own API."""

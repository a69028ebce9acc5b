"""The one error of graph files: a bad file, told in one sentence."""


class GraphFileError(ValueError):
    """A graph file (JSON or safetensors) cannot be read or written.

    The message is one sentence that says where, what is wrong and what to do.
    """

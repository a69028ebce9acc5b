"""The one error of this package: a bad input, told in one sentence."""


class DictionaryError(ValueError):
    """A dictionary (its files, its settings or its fit to a model) cannot be used.

    The message is one sentence that names the file or value and says what was expected.
    """

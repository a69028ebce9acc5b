"""What goes wrong with models and prompts, in sentences a reader can act on."""


class ModelError(ValueError):
    """A model, its weights or its family cannot be used as asked."""


class PromptError(ValueError):
    """A prompt or a target that this model cannot be run on."""


class InterventionError(ValueError):
    """An intervention that cannot be made, or that would touch nothing."""

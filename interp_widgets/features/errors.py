"""What goes wrong when features are looked up, indexed or named."""


class FeatureError(ValueError):
    """A feature, index, label or text that cannot be used; the message is one sentence."""

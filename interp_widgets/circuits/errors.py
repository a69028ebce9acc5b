"""What goes wrong when two runs are compared, in sentences a reader can act on."""


class CircuitError(ValueError):
    """Prompts that cannot be compared, or a part or a metric that does not exist."""

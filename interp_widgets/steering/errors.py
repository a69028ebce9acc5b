"""The one error of this package."""


class SteeringError(ValueError):
    """A direction or a measurement that makes no sense as asked, told in one sentence."""

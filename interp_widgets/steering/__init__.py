"""Steering as science: directions, what a strength is worth, what it does and what it breaks.

direction = difference_in_means(model, warm, cold, Place(8, "resid_post"))
response = dose_response(model, prompts, direction, [-2, -1, 1, 2], log_probability(model, " hot"))
choose(response, budget=0.5)
"""

from .choosing import Chosen, choose
from .damage import losses, repetition, texts
from .directions import Direction, from_feature, from_vector, random_like, together
from .dose import Band, Dose, DoseResponse, dose_response
from .effects import Effect, log_probability, logit_difference, mean_probability
from .errors import SteeringError
from .finding import difference_in_means, pca, prompt_vectors
from .neutral import Neutral, neutral
from .probing import probe
from .scales import NaturalScale, natural_scales
from .watch import Progress, Watch

__all__ = [
    "Band",
    "Chosen",
    "Direction",
    "Dose",
    "DoseResponse",
    "Effect",
    "NaturalScale",
    "Neutral",
    "Progress",
    "SteeringError",
    "Watch",
    "choose",
    "difference_in_means",
    "dose_response",
    "from_feature",
    "from_vector",
    "log_probability",
    "logit_difference",
    "losses",
    "mean_probability",
    "natural_scales",
    "neutral",
    "pca",
    "probe",
    "prompt_vectors",
    "random_like",
    "repetition",
    "texts",
    "together",
]

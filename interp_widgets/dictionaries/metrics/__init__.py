"""How good a dictionary is: on a text, beside others, and beside what it has to beat."""

from interp_widgets.dictionaries.metrics.comparison import Comparison, compare
from interp_widgets.dictionaries.metrics.cosines import Spread, decoder_cosines
from interp_widgets.dictionaries.metrics.judge import LayerMetrics, Metrics, judge
from interp_widgets.dictionaries.metrics.sums import Estimate
from interp_widgets.dictionaries.metrics.text import Text

__all__ = [
    "Comparison",
    "Estimate",
    "LayerMetrics",
    "Metrics",
    "Spread",
    "Text",
    "compare",
    "decoder_cosines",
    "judge",
]

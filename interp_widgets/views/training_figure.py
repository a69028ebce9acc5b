"""The charts of a training: one plotly figure with five subplots.

Loss, FVU, L0 and the share of dead features over tokens, and below them how many features fire
how often. Colours come from a template alone, one for light and one for dark: what a user sets on
the figure (`training.figure.update_layout`, `update_traces`, …) wins over it and stays.

The curves are block means: at most `POINTS` of them, each the mean of as many neighbouring steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget
    from plotly.graph_objects.layout import Template

POINTS = 240

# The metric in `Training.history`, its title, and the unit of the axis.
CURVES = (("loss", "loss"), ("fvu", "FVU"), ("l0", "L0"), ("dead_share", "dead features"))
# Where the subplots stand, bottom and top; the gaps hold titles and, above the last, tokens.
ROWS = ((0.745, 1.0), (0.745, 1.0), (0.42, 0.675), (0.42, 0.675), (0.0, 0.24))
DENSITY, CONTROL = "density", "control"
CHANGED = "setting changed"  # our marks, among shapes and annotations of the user's own

# The look's colours; docs and style sheets use the same names.
COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "paper": "#fbf8f1",
        "panel": "#fffdf8",
        "ink": "#2b2a27",
        "soft": "#746f66",
        "rule": "#ebe5d8",
        "act": "rgba(111, 84, 178, 0.75)",
        "sel": "#d6006c",
    },
    "dark": {
        "paper": "#1d1c1a",
        "panel": "#242320",
        "ink": "#ebe7de",
        "soft": "#a39e94",
        "rule": "#34322e",
        "act": "rgba(164, 140, 230, 0.75)",
        "sel": "#ff5aa5",
    },
}
FONT = "Inter, Helvetica Neue, Arial, sans-serif"
DECADES = range(-6, 1)


@dataclass(frozen=True)
class Mark:
    """Where the user changed a setting: tokens seen by then, and a few words."""

    tokens: int
    text: str


def look(theme: str) -> Template:
    """The template of a theme, "light" or "dark"."""
    import plotly.graph_objects as go

    colour = COLOURS[theme]
    axis: dict[str, Any] = dict(
        gridcolor=colour["rule"],
        linecolor=colour["rule"],
        zerolinecolor=colour["rule"],
        tickfont=dict(size=10, color=colour["soft"]),
        title=dict(font=dict(size=10, color=colour["soft"]), standoff=4),
        ticks="",
        automargin=False,
        # Anything else measures every label on every update: a third of plotly's time.
        ticklabeloverflow="allow",
    )
    line = go.Scatter(line=dict(color=colour["ink"], width=1.5))
    dotted = go.Scatter(line=dict(color=colour["soft"], width=1.2, dash="dot"))
    return go.layout.Template(
        layout=dict(
            paper_bgcolor=colour["paper"],
            plot_bgcolor=colour["paper"],
            font=dict(family=FONT, size=11, color=colour["ink"]),
            colorway=[colour["ink"], colour["act"], colour["soft"]],
            xaxis=axis,
            yaxis=axis,
            hoverlabel=dict(
                bgcolor=colour["panel"],
                bordercolor=colour["rule"],
                font=dict(family=FONT, size=11, color=colour["ink"]),
            ),
            shapedefaults=dict(line=dict(color=colour["sel"], width=1)),
        ),
        data=dict(
            scatter=[line] * len(CURVES) + [dotted],
            bar=[go.Bar(marker=dict(color=colour["act"], line=dict(width=0)))],
        ),
    )


def make(theme: str) -> FigureWidget:
    """The empty figure."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    layout = make_subplots(
        rows=3,
        cols=2,
        specs=[[{}, {}], [{}, {}], [{"colspan": 2}, None]],
        subplot_titles=[title for _, title in CURVES] + ["features by how often they fire"],
        horizontal_spacing=0.1,
    ).layout
    figure = go.FigureWidget(layout=layout)
    places = [("x", "y"), ("x2", "y2"), ("x3", "y3"), ("x4", "y4")]
    for (metric, title), (x, y) in zip(CURVES, places, strict=True):
        value = "%{y:.2%}" if metric == "dead_share" else "%{y:.4g}"
        figure.add_scatter(
            name=metric,
            x=np.zeros(0),
            y=np.zeros(0),
            xaxis=x,
            yaxis=y,
            mode="lines",
            hovertemplate=f"{title} {value}<br>after %{{x:.3s}} tokens<extra></extra>",
        )
    figure.add_scatter(
        name=CONTROL,
        x=np.zeros(0),
        y=np.zeros(0),
        xaxis="x2",
        yaxis="y2",
        mode="lines",
        hovertemplate="%{y:.4g}: PCA of the same rank<extra></extra>",
    )
    middles, counts = histogram(np.zeros(0))
    figure.add_bar(
        name=DENSITY,
        x=middles,
        y=counts,
        customdata=[f"{100 * 10.0**middle:.2g}%" for middle in middles],
        xaxis="x5",
        yaxis="y5",
        hovertemplate="%{y:,} features fire on about %{customdata} of tokens<extra></extra>",
    )
    figure.update_annotations(font_size=12, xanchor="left", yshift=1)
    for index, (annotation, rows) in enumerate(zip(figure.layout.annotations, ROWS, strict=True)):
        axis = str(index + 1) if index else ""
        figure.layout[f"yaxis{axis}"].domain = rows
        annotation.x, annotation.y = figure.layout[f"xaxis{axis}"].domain[0], rows[1]
    # One zoom for all four; tokens are written once, under the lower two.
    figure.update_xaxes(matches="x", tickformat="~s", nticks=5)
    figure.update_layout(
        template=look(theme),
        autosize=True,
        margin=dict(l=42, r=16, t=20, b=36),
        showlegend=False,
        bargap=0.08,
        hovermode="closest",
        dragmode="zoom",
        uirevision="kept",
        xaxis=dict(showticklabels=False),
        xaxis2=dict(showticklabels=False),
        xaxis3=dict(title_text="tokens"),
        xaxis4=dict(title_text="tokens"),
        xaxis5=dict(
            matches=None,
            range=[DECADES[0] - 0.3, 0.1],
            tickvals=list(DECADES),
            ticktext=[decade(power) for power in DECADES],
            tickformat=None,
            title_text="share of tokens a feature fires on",
            showgrid=False,
        ),
        yaxis=dict(type="log", dtick="D2", tickformat="~g"),
        yaxis2=dict(rangemode="tozero", nticks=4),
        yaxis3=dict(rangemode="tozero", nticks=4),
        yaxis4=dict(rangemode="tozero", nticks=4, tickformat="~%"),
        yaxis5=dict(nticks=4, tickformat="~s"),
    )
    figure._config = {"displayModeBar": False, "responsive": True}
    return figure


def decade(power: float) -> str:
    """A share as people say it: 0.01%, 1%, 100%."""
    return f"{100 * 10.0**power:.{max(0, -round(power) - 2)}f}%"


def thinned(
    history: Mapping[str, NDArray[Any]], metric: str, points: int = POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tokens and block means of a metric, at most `points` each; what is no number is left out."""
    tokens = np.asarray(history["tokens"], dtype=np.float64)
    values = np.asarray(history[metric], dtype=np.float64)
    size = min(tokens.size, values.size)
    tokens, values = tokens[:size], values[:size]
    known = np.isfinite(values)
    tokens, values = tokens[known], values[known]
    block = -(-values.size // points) if values.size else 1
    starts = np.arange(0, values.size, block)
    if starts.size == 0:
        return tokens, values
    counts = np.diff(np.append(starts, values.size))
    # A mean stands at the end of its steps: the curve never runs ahead of what was measured.
    return tokens[starts + counts - 1], np.add.reduceat(values, starts) / counts


def histogram(density: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features that fire, counted by how often: middles of the bins (powers of ten), counts."""
    density = np.asarray(density, dtype=np.float64)
    edges = np.linspace(DECADES[0], 0, 5 * (len(DECADES) - 1) + 1)
    power = np.clip(np.log10(density[density > 0]), edges[0], 0)
    counts, _ = np.histogram(power, edges)
    return (edges[:-1] + edges[1:]) / 2, counts


def fill(
    figure: FigureWidget,
    history: Mapping[str, NDArray[Any]],
    density: NDArray[Any],
    control: float | None,
    marks: Sequence[Mark],
    theme: str,
) -> None:
    """Puts what is known into the figure; one message to the browser, unless marks are new.

    Traces are found by name, so a user may add some of their own or delete ours.
    """
    values: dict[str, dict[str, Any]] = {}
    for metric, _ in CURVES:
        x, y = thinned(history, metric)
        values[metric] = {"x": x, "y": y}
    tokens = values["fvu"]["x"]
    ends = tokens[[0, -1]] if control is not None and tokens.size else np.zeros(0)
    values[CONTROL] = {"x": ends, "y": np.full(ends.size, control or 0.0)}
    values[DENSITY] = dict(zip("xy", histogram(density), strict=True))

    ours = [(i, trace.name) for i, trace in enumerate(figure.data) if trace.name in values]
    restyle: dict[str, list[Any]] = {
        key: [values[name][key] for _, name in ours] for key in ("x", "y")
    }
    figure.plotly_restyle(restyle, trace_indexes=[i for i, _ in ours])
    _mark(figure, marks, theme)


def _mark(figure: FigureWidget, marks: Sequence[Mark], theme: str) -> None:
    """A line through the curves for every mark, and words at the last; beside the user's own."""
    colour = COLOURS[theme]["sel"]
    layout = figure.layout
    there = [shape.x0 for shape in layout.shapes if shape.name == CHANGED][:: len(CURVES)]
    words = [(note.text, note.font.color) for note in layout.annotations if note.name == CHANGED]
    if there == [mark.tokens for mark in marks] and words == [(m.text, colour) for m in marks[-1:]]:
        return
    shapes = [shape for shape in layout.shapes if shape.name != CHANGED]
    notes = [note for note in layout.annotations if note.name != CHANGED]
    for mark in marks:
        for index in range(len(CURVES)):
            axis = str(index + 1) if index else ""
            place = dict(xref=f"x{axis}", yref=f"y{axis} domain", x0=mark.tokens, x1=mark.tokens)
            shapes.append(dict(name=CHANGED, type="line", y0=0, y1=1, **place))
    for mark in marks[-1:]:
        place = dict(xref="x", yref="y domain", x=mark.tokens, y=1, yanchor="bottom")
        font = dict(size=10, color=colour)
        notes.append(dict(name=CHANGED, text=mark.text, showarrow=False, font=font, **place))
    layout.shapes, layout.annotations = shapes, notes


def dress(figure: FigureWidget, theme: str) -> None:
    """The other theme's template; everything that the user has set stays."""
    figure.layout.template = look(theme)


def synchronise(figure: FigureWidget) -> None:
    """Tells a page that is about to draw the figure what it holds by now.

    plotly sends whole states only when a figure shows itself (BaseFigureWidget's
    _repr_mimebundle_); inside our view it does not show itself.
    """
    from copy import deepcopy

    figure._widget_layout = deepcopy(figure._layout_obj._props)
    figure._widget_data = deepcopy(figure._data)
    # Also what Python takes for known: the page may have been opened later.
    figure.send_state(["_widget_layout", "_widget_data", "_config"])

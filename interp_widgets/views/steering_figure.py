"""The chart of a dose-response: effect and damage over strength, beside their controls.

Everything in nats is on one axis, so that an effect stands beside what it costs; repetition, a
share, has the right one. Colours come from a template alone, so what a user sets on the figure
stays when the theme changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .training_figure import COLOURS, FONT

if TYPE_CHECKING:
    from plotly.graph_objects import FigureWidget
    from plotly.graph_objects.layout import Template

    from ..dictionaries.metrics import Estimate
    from ..steering.dose import DoseResponse

# The look's colours that the training view has no use for.
EFFECT = {"light": "#01665e", "dark": "#5ab4ac"}
DAMAGE = {"light": "#a6611a", "dark": "#d8a15a"}
GREY = {"light": "rgba(138, 133, 123, 0.28)", "dark": "rgba(152, 147, 138, 0.28)"}
# In the order of drawing, which is the order in which the template styles them.
NAMES = ("random", "interval", "effect", "contrast", "words", "damage", "repetition", "repeats")


def look(theme: str) -> Template:
    """The template of a theme, "light" or "dark"."""
    import plotly.graph_objects as go

    colour = COLOURS[theme]
    axis: dict[str, Any] = dict(
        gridcolor=colour["rule"],
        linecolor=colour["rule"],
        zerolinecolor=colour["soft"],
        zerolinewidth=1,
        tickfont=dict(size=10, color=colour["soft"]),
        title=dict(font=dict(size=10, color=colour["soft"]), standoff=6),
        ticks="",
    )

    def line(shade: str, width: float, dash: str = "solid") -> Any:
        return go.Scatter(line=dict(color=shade, width=width, dash=dash), marker=dict(color=shade))

    def area(shade: str) -> Any:
        return go.Scatter(line=dict(width=0, color=shade), fillcolor=shade)

    faint = EFFECT[theme].lstrip("#")
    red, green, blue = (int(faint[i : i + 2], 16) for i in (0, 2, 4))
    styles = {
        "random": area(GREY[theme]),
        "interval": area(f"rgba({red}, {green}, {blue}, 0.2)"),
        "effect": line(EFFECT[theme], 2),
        "contrast": line(colour["ink"], 1.2, "dashdot"),
        "words": line(colour["ink"], 1.2, "dot"),
        "damage": line(DAMAGE[theme], 2, "dash"),
        "repetition": line(colour["soft"], 1.2),
        "repeats": line(colour["soft"], 0.8, "dot"),
    }
    return go.layout.Template(
        layout=dict(
            paper_bgcolor=colour["paper"],
            plot_bgcolor=colour["paper"],
            font=dict(family=FONT, size=11, color=colour["ink"]),
            xaxis=axis,
            yaxis=axis,
            hoverlabel=dict(
                bgcolor=colour["panel"],
                bordercolor=colour["rule"],
                font=dict(family=FONT, size=11, color=colour["ink"]),
            ),
            legend=dict(font=dict(size=11, color=colour["soft"])),
        ),
        data=dict(scatter=[styles[name] for name in NAMES]),
    )


def make(theme: str) -> FigureWidget:
    """The empty figure."""
    import plotly.graph_objects as go

    figure = go.FigureWidget()
    for name in NAMES:
        figure.add_scatter(
            name=name,
            meta=name,
            x=[],
            y=[],
            mode="lines",
            fill="toself" if name in ("random", "interval") else None,
            hoverinfo="skip" if name in ("random", "interval") else None,
            showlegend=False,
            yaxis="y2" if name in ("repetition", "repeats") else "y",
        )
    for name in ("effect", "damage", "contrast"):
        figure.update_traces(mode="lines+markers", marker_size=5, selector={"meta": name})
    figure.update_layout(
        template=look(theme),
        autosize=True,
        margin=dict(l=46, r=46, t=8, b=36),
        hovermode="x unified",
        legend=dict(orientation="v", x=1.07, y=1, xanchor="left", yanchor="top"),
        uirevision="kept",
        xaxis=dict(title_text="strength, % of the residual norm", ticksuffix="%"),
        yaxis=dict(title_text="change, nats"),
        yaxis2=dict(
            overlaying="y",
            side="right",
            range=[0, 1],
            tickvals=[0, 0.25, 0.5, 0.75, 1],
            tickformat=".0%",
            title_text="repetition",
            showgrid=False,
            zeroline=False,
        ),
    )
    figure._config = {"displayModeBar": False, "responsive": True}
    return figure


def fill(figure: FigureWidget, response: DoseResponse) -> None:
    """Puts a result into the figure. Traces are found by their `meta`, so a user may delete some."""
    doses = response.doses
    x = [100 * response.scale.alpha(dose.strength) for dose in doses]
    ends = [x[0], x[-1]]
    n = doses[0].effect.n
    values: dict[str, tuple[str, Sequence[float], Sequence[float]]] = {
        "random": (
            f"{doses[0].random.n} random directions, 95%",
            [*x, *reversed(x)],
            [*(d.random.high for d in doses), *(d.random.low for d in reversed(doses))],
        ),
        "interval": ("", [*x, *reversed(x)], _band([d.effect for d in doses])),
        "effect": (f"effect on {n} prompts, 95%", x, [d.effect.value for d in doses]),
        "contrast": (
            "difference in means",
            x,
            [d.contrast.value for d in doses if d.contrast is not None],
        ),
        "words": (
            "asked in words",
            ends,
            [] if response.instruction is None else [response.instruction.value] * 2,
        ),
        "damage": (
            f"damage: cross entropy, {doses[0].damage.n:,} tokens",
            x,
            [d.damage.value for d in doses],
        ),
        "repetition": (
            f"repetition, {doses[0].repetition.n} texts (right)",
            x,
            [d.repetition.value for d in doses],
        ),
        "repeats": ("… unsteered", ends, [response.base_repetition.value] * 2),
    }
    with figure.batch_update():
        for trace in figure.data:
            if trace.meta in values:
                name, across, up = values[trace.meta]
                trace.x, trace.y = (list(across), list(up)) if up else ([], [])
                if trace.name == trace.meta or not up:
                    trace.name = name or trace.meta
                trace.showlegend = bool(name) and bool(up)
                trace.hovertemplate = f"%{{y:.3g}} {name}<extra></extra>"


def dress(figure: FigureWidget, theme: str) -> None:
    """The other theme's template; everything that the user has set stays."""
    figure.layout.template = look(theme)


def _band(estimates: Sequence[Estimate]) -> list[float]:
    return [*(e.high for e in estimates), *(e.low for e in reversed(estimates))]

"""Draw panels with plotly, with a slider over the stages of training."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_rgb
from plotly.basedatatypes import BasePlotlyType
from plotly.subplots import make_subplots

from landscope.figures.panel import Curve, Level, Panel, names_to_explain
from landscope.figures.style import INK, MUTED, TEMPLATE

# Characters of a caption's line: plotly does not break lines by itself.
_CAPTION_WIDTH = 100


def draw(
    staged: Sequence[tuple[str, Sequence[Panel]]],
    columns: int,
    caption: str = "",
    row_height: int = 360,
) -> go.Figure:
    """Draw the panels of each stage in the same places, and a slider that picks the stage.

    Parameters
    ----------
    staged
        For each stage its label and its panels; every stage has the same number of panels. The
        last is shown first. With one stage there is no slider.
    columns
        Panels in a row.
    caption
        One sentence below the panels.
    row_height
        Pixels for each row.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    panels = staged[-1][1]
    rows = -(-len(panels) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[f"<b>{panel.title}</b>" for panel in panels],
        horizontal_spacing=0.3 / (columns + 1),
        vertical_spacing=0.34 / rows if rows > 1 else 0,
    )
    figure.update_layout(template=TEMPLATE, height=row_height * rows + 72, barmode="group")
    figure.update_annotations(font={"size": 14})
    for place, panel in enumerate(panels):
        _lay_out(figure, panel, place // columns + 1, place % columns + 1)

    owners: list[int] = []
    shapes: list[list[dict[str, Any]]] = []
    for index, (_, of_stage) in enumerate(staged):
        unexplained = names_to_explain(of_stage)
        for place, panel in enumerate(of_stage):
            for curve in panel.curves:
                for trace in _traces(curve, panel):
                    trace.update(
                        legendgroup=curve.name,
                        showlegend=trace.name in unexplained,
                        visible=index == len(staged) - 1,
                    )
                    figure.add_trace(trace, place // columns + 1, place % columns + 1)
                    owners.append(index)
                unexplained.discard(curve.name)
        shapes.append(
            [_shape(level, place) for place, p in enumerate(of_stage) for level in p.levels]
        )
    figure.update_layout(shapes=shapes[-1])
    add_slider(figure, [label for label, _ in staged], owners, shapes)
    if caption:
        write_caption(figure, caption)
    return figure


def add_stages(figure: go.Figure, staged: Sequence[tuple[str, Sequence[BasePlotlyType]]]) -> None:
    """Add the traces of all stages, of which the last is seen, and the slider that picks one."""
    owners: list[int] = []
    for index, (_, traces) in enumerate(staged):
        for trace in traces:
            figure.add_trace(trace.update(visible=index == len(staged) - 1))
            owners.append(index)
    add_slider(figure, [label for label, _ in staged], owners)


def add_slider(
    figure: go.Figure,
    labels: Sequence[str],
    owners: Sequence[int],
    shapes: Sequence[list[dict[str, Any]]] | None = None,
) -> None:
    """Let a slider pick which stage is seen.

    Parameters
    ----------
    figure
        Holds the traces of all stages.
    labels
        One for each stage.
    owners
        For each trace the index of its stage.
    shapes
        For each stage its reference lines.
    """
    if len(labels) < 2:
        return
    steps = [
        {
            "method": "update",
            "label": label,
            "args": [
                {"visible": [owner == index for owner in owners]},
                {"shapes": shapes[index]} if shapes else {},
            ],
        }
        for index, label in enumerate(labels)
    ]
    figure.update_layout(
        sliders=[
            {
                "active": len(labels) - 1,
                "steps": steps,
                "currentvalue": {"prefix": "", "font": {"size": 14}},
                "pad": {"t": 48, "b": 8},
                "ticklen": 4,
                "bordercolor": MUTED,
                "font": {"size": 10, "color": MUTED},
            }
        ]
    )


def write_caption(figure: go.Figure, caption: str) -> None:
    """Write a sentence below the panels."""
    figure.add_annotation(
        text="<br>".join(wrap(caption, _CAPTION_WIDTH)),
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        yshift=-52,
        xanchor="left",
        yanchor="top",
        align="left",
        showarrow=False,
        font={"size": 12, "color": MUTED},
    )
    figure.update_layout(margin={"b": 100})
    figure.update_layout({"sliders[0].pad.t": 96} if figure.layout.sliders else {})


_DECADES = {"type": "log", "exponentformat": "power", "dtick": 1}


def _lay_out(figure: go.Figure, panel: Panel, row: int, column: int) -> None:
    horizontal: dict[str, Any] = {"title": {"text": panel.xlabel}}
    vertical: dict[str, Any] = {"title": {"text": panel.ylabel}}
    if panel.xticks:
        horizontal |= {"tickvals": list(panel.xticks[0]), "ticktext": list(panel.xticks[1])}
    if panel.xlim:
        horizontal |= {"range": list(np.log10(panel.xlim) if panel.log_x else panel.xlim)}
    if panel.log_x:
        horizontal |= _DECADES
    if panel.log_y:
        vertical |= _DECADES
    if panel.ylim:
        vertical |= {"range": list(np.log10(panel.ylim) if panel.log_y else panel.ylim)}
    figure.update_xaxes(**horizontal, row=row, col=column)
    figure.update_yaxes(**vertical, row=row, col=column)


def _traces(curve: Curve, panel: Panel) -> list[go.Scatter | go.Bar]:
    shared: dict[str, Any] = {"x": curve.x, "y": curve.y, "name": curve.name}
    if curve.hover is not None:
        shared |= {"hovertext": list(curve.hover), "hoverinfo": "text+name"}
    marker = {"color": curve.colour, "symbol": curve.symbol, "size": 7}
    line = {"color": curve.colour, "width": 2, "dash": "dash" if curve.dashed else "solid"}
    if curve.kind == "bars":
        error = {"array": curve.error, "thickness": 1, "width": 2, "color": INK}
        return [go.Bar(**shared, marker={"color": curve.colour}, error_y=error)]
    if curve.kind == "sticks":
        return [_sticks(curve, panel), go.Scatter(**shared, mode="markers", marker=marker)]
    if curve.kind == "line":
        body = go.Scatter(**shared, mode="lines", line=line)
        return [body] if curve.error is None else [_band(curve, panel), body]
    return [
        go.Scatter(
            **shared,
            mode="markers" if curve.kind == "points" else "lines+markers",
            line=line,
            marker=marker,
            error_y={"array": curve.error, "thickness": 1.2, "width": 3},
        )
    ]


def _sticks(curve: Curve, panel: Panel) -> go.Scatter:
    foot = panel.ylim[0] if panel.ylim else 0.0
    gap = np.full_like(curve.y, np.nan)
    return go.Scatter(
        x=np.stack([curve.x, curve.x, gap], axis=1).ravel(),
        y=np.stack([np.full_like(curve.y, foot), curve.y, gap], axis=1).ravel(),
        mode="lines",
        line={"color": curve.colour, "width": 1.2},
        hoverinfo="skip",
    )


def _band(curve: Curve, panel: Panel) -> go.Scatter:
    assert curve.error is not None
    floor = panel.ylim[0] if panel.log_y and panel.ylim else -np.inf
    lower = np.maximum(curve.y - curve.error, floor)
    red, green, blue = (round(255 * part) for part in to_rgb(curve.colour))
    return go.Scatter(
        x=np.concatenate([curve.x, curve.x[::-1]]),
        y=np.concatenate([curve.y + curve.error, lower[::-1]]),
        fill="toself",
        fillcolor=f"rgba({red}, {green}, {blue}, 0.2)",
        line={"width": 0},
        hoverinfo="skip",
    )


def _shape(level: Level, place: int) -> dict[str, Any]:
    axis = str(place + 1) if place else ""
    across = {"x0": level.value, "x1": level.value, "y0": 0, "y1": 1, "yref": f"y{axis} domain"}
    along = {"y0": level.value, "y1": level.value, "x0": 0, "x1": 1, "xref": f"x{axis} domain"}
    return {
        "type": "line",
        **({"xref": f"x{axis}"} | across if level.upright else {"yref": f"y{axis}"} | along),
        "line": {"color": MUTED, "width": 1.2, "dash": "dot"},
        "label": {
            "text": level.label,
            "textposition": "end",
            "textangle": 0,
            "xanchor": "left" if level.upright else "right",
            "yanchor": "top" if level.upright else "bottom",
            "font": {"size": 11, "color": MUTED},
        },
    }

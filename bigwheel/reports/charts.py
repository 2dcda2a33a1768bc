"""The charts of a page as plotly draws them: ``data`` and ``layout``, made of a report's figures.

They are plain JSON, so no chart needs the Python half of plotly to be imported; the tests hold them against it.
Colours are of a middle tone that reads on light and on dark; those of text and grid come from the page's style.
"""

from __future__ import annotations

import html
from typing import Any

BLUE, GREEN, RED, AMBER, GREY = "#3b82f6", "#16a34a", "#dc2626", "#d97706", "#8b93a1"

_MS = 1_000_000
_FILL = "rgba(59,130,246,0.10)"
_WATER = "rgba(220,38,38,0.18)"

Json = dict[str, Any]

_TIME: Json = {"type": "date", "showspikes": True, "spikethickness": 1, "spikedash": "dot"}


def charts(figures: Json) -> Json:
    """Every chart of the page by name; those without data are left out. ``prices`` is a list, one per symbol."""
    done: Json = {}
    if figures["account"]["ts_ns"]:
        done["account"] = _account(figures)
    if figures["symbols"]:
        done["prices"] = [_prices(symbol) for symbol in figures["symbols"]]
    if figures["profit"]["ts_ns"] or figures["fees"]["ts_ns"]:
        done["costs"] = _costs(figures)
    if figures["sweep"]:
        done["sweep"] = _sweep(figures["sweep"])
    return done


def _ms(ts_ns: list[int]) -> list[float]:
    """Times as plotly takes them: milliseconds since the epoch."""
    return [ts / _MS for ts in ts_ns]


def _line(x: list[float], y: list[Any], name: str, color: str, **more: Any) -> Json:
    trace: Json = {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name}
    return {**trace, "line": {"color": color, "width": 1.6}, "hovertemplate": "%{y:,.2f}", **more}


def _layout(**more: Any) -> Json:
    return {
        "margin": {"l": 64, "r": 12, "t": 28, "b": 32},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": _TIME,
        **more,
    }


def _title(text: str, y: float) -> Json:
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": y, "xanchor": "left", "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"size": 12}, **place}


def _account(figures: Json) -> Json:
    """Equity, drawdown and exposure, one above the other over the same time."""
    account = figures["account"]
    x = _ms(account["ts_ns"])
    sunk = [None if value is None else -value for value in account["drawdown"]]
    water = {"yaxis": "y2", "fill": "tozeroy", "fillcolor": _WATER, "showlegend": False, "hovertemplate": "%{y:.2%}"}
    stepped = {"shape": "hv", "width": 1.3}
    start = figures["summary"].get("starting_cash")
    shapes = []
    if isinstance(start, int | float):
        level = {"xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": start, "y1": start}
        shapes = [{"type": "line", **level, "line": {"color": GREY, "width": 1, "dash": "dot"}}]
    return {
        "data": [
            _line(x, account["equity"], "Equity", BLUE, showlegend=False),
            _line(x, sunk, "Drawdown", RED, **water),
            _line(x, account["gross_exposure"], "Gross", GREY, yaxis="y3", line={"color": GREY, **stepped}),
            _line(
                x, account["exposure"], "Net", AMBER,
                yaxis="y3", fill="tozeroy", fillcolor="rgba(217,119,6,0.12)", line={"color": AMBER, **stepped},
            ),
        ],
        "layout": _layout(
            height=640,
            shapes=shapes,
            annotations=[_title("Equity", 1.0), _title("Drawdown", 0.43), _title("Exposure", 0.19)],
            legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 0.19, "yanchor": "bottom"},
            xaxis={**_TIME, "anchor": "y3"},
            yaxis={"domain": [0.49, 1], "tickformat": ",.6~g"},
            yaxis2={"domain": [0.25, 0.43], "tickformat": ".3~p", "rangemode": "tozero"},
            yaxis3={"domain": [0, 0.19], "tickformat": ".3~s"},
        ),
    }  # fmt: skip


def _prices(symbol: Json) -> Json:
    """Bars of one symbol with its round trips: where each was entered and left, and what it made."""
    candles, marks = symbol["candles"], symbol["marks"]
    entered, left = _ms(marks["entry_ns"]), _ms(marks["exit_ns"])
    long = [side == "long" for side in marks["side"]]
    won = [(pnl or 0.0) > 0 for pnl in marks["pnl"]]
    entry = [
        f"{html.escape(str(side))} {quantity:,g}"
        for side, quantity in zip(marks["side"], marks["quantity"], strict=True)
    ]
    paths: Json = {"x": [], "y": []}
    for x0, x1, y0, y1 in zip(entered, left, marks["entry_price"], marks["exit_price"], strict=True):
        paths["x"] += [x0, x1, None]
        paths["y"] += [y0, y1, None]
    return {
        "data": [
            {
                "type": "candlestick",
                "x": _ms(candles["ts_ns"]),
                **{name: candles[name] for name in ("open", "high", "low", "close")},
                "name": "Price",
                "increasing": {"line": {"color": GREEN, "width": 1}},
                "decreasing": {"line": {"color": RED, "width": 1}},
                "opacity": 0.55,
                "showlegend": False,
            },
            _line(**paths, name="Round trip", color=GREY, hoverinfo="skip", hovertemplate=None, opacity=0.7),
            _marks(entered, marks["entry_price"], "Entry", entry, {
                "symbol": ["triangle-up" if up else "triangle-down" for up in long], "color": BLUE, "size": 8,
            }),
            _marks(left, marks["exit_price"], "Exit", [f"{pnl or 0.0:+,.2f}" for pnl in marks["pnl"]], {
                "symbol": "circle", "color": [GREEN if good else RED for good in won], "size": 6,
            }),
        ],
        "layout": _layout(
            height=460,
            hovermode="closest",
            xaxis={"type": "date", "rangeslider": {"visible": False}},
            yaxis={"tickformat": ",.6~g"},
        ),
    }  # fmt: skip


def _marks(x: list[float], y: list[Any], name: str, text: list[str], marker: Json) -> Json:
    outlined = {**marker, "line": {"width": 1, "color": "rgba(255,255,255,0.8)"}}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "name": name,
        "text": text,
        "marker": outlined,
        "hovertemplate": f"{name} at %{{y:,.6~g}}<br>%{{text}}<br>%{{x}}<extra></extra>",
    }


def _costs(figures: Json) -> Json:
    """Profit before and after fees, and the fees, added up."""
    profit, paid = figures["profit"], figures["fees"]
    ended = _ms(profit["ts_ns"])
    return {
        "data": [
            _line(ended, profit["gross"], "Before fees", GREY),
            _line(ended, profit["pnl"], "After fees", BLUE, fill="tozeroy", fillcolor=_FILL),
            _line(_ms(paid["ts_ns"]), paid["fees"], "Fees", AMBER),
        ],
        "layout": _layout(height=320, yaxis={"tickformat": ",.6~g"}),
    }


def _sweep(sweep: Json) -> Json:
    """The metric for each pair of the two parameters; the middle of the colours is 0 where it has both signs."""
    values = [value for row in sweep["z"] for value in row if value is not None]
    both = bool(values) and min(values) < 0 < max(values)
    x, y, metric = (html.escape(str(name)) for name in (sweep["x"]["name"], sweep["y"]["name"], sweep["metric"]))
    colors = [[0, RED], [0.5, "#f1e9d2"], [1, GREEN]] if both else [[0, "#e8eef9"], [1, "#1d4ed8"]]
    named = f"{x} %{{x}}<br>" + (f"{y} %{{y}}<br>" if y else "")
    trace: Json = {
        "type": "heatmap",
        "x": [html.escape(str(value)) for value in sweep["x"]["values"]],
        "y": [html.escape(str(value)) for value in sweep["y"]["values"]],
        "z": sweep["z"],
        "colorscale": colors,
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickformat": ".4~g"},
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": f"{named}{metric} %{{z:.4~g}}<extra></extra>",
    }
    if both:
        trace |= {"zmid": 0}
    if len(values) <= 200:
        trace |= {"texttemplate": "%{z:.3~g}"}
    axes = {
        "xaxis": {"type": "category", "title": {"text": x}, "showgrid": False},
        "yaxis": {"type": "category", "title": {"text": y}, "showgrid": False},
    }
    height = max(220, min(640, 120 + 34 * len(sweep["y"]["values"])))
    margin = {"l": 72, "r": 12, "t": 12, "b": 56}
    return {"data": [trace], "layout": _layout(height=height, hovermode="closest", margin=margin, **axes)}

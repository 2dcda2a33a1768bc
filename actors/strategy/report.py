"""What a strategy's brain says of itself."""

from __future__ import annotations

from actors.strategy.parts import Parts
from exchanges.model.market import last_price


def report(brain: Parts) -> dict[str, object]:
    """Ticks, price, position, signals, feedback, performance: JSON-ready. The first symbol's, and ``by_symbol`` all."""
    data, feedback = brain.desk.data, brain.facts.feedbacks.get(brain.symbol)
    prices = brain.prices()
    return {
        "label": brain.label,
        "symbol": brain.symbol,
        "symbols": list(brain.symbols),
        "strategy": type(brain.strategy).__name__,
        "ticks": brain.ticks,
        "last_price": last_price(data) if data is not None else None,
        "last_data_ns": data.ts_ns if data is not None else 0,
        **_symbol(brain, brain.symbol),
        "by_symbol": {symbol: _symbol(brain, symbol) for symbol in brain.symbols},
        "signals": brain.counts["emitted"],
        "pending": len(brain.pending),
        "paused": brain.paused,
        "dry_run": brain.settings.dry_run,
        "live": brain.live,
        "warming": not brain.warm.over,
        "feedback_version": feedback.version if feedback is not None else 0,
        "performance": brain.performance.report(brain.desk.positions, prices),
        "counts": dict(sorted((brain.counts + brain.frames.counts()).items())),
        "log": list(brain.lines),
    }


def _symbol(brain: Parts, symbol: str) -> dict[str, object]:
    position, feedback = brain.desk.positions[symbol], brain.facts.feedbacks.get(symbol)
    return {
        "position": str(position.quantity),
        "average_price": str(position.average_price),
        "realized": str(position.realized),
        "fees": str(position.fees),
        "payments": str(position.payments),
        "threshold": brain.desk.thresholds[symbol],
        "size_multiplier": feedback.size_multiplier if feedback is not None else 1.0,
    }

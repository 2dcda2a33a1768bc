"""The Ray actor of the risk supervisor."""

from __future__ import annotations

from actors.host import TradingHost
from actors.risk.brain import RiskBrain
from actors.risk.settings import RegimeSettings, RiskSettings
from exchanges.model.order import OrderType
from runtime.behavior import Behavior
from runtime.supervision.assignment import CellAssignment


class RiskSupervisor(TradingHost):
    """Hosts the one brain that can approve an order."""

    def build(self, cell: CellAssignment) -> Behavior:
        told = self.settings.risk
        return RiskBrain(
            RiskSettings(
                symbols=self.settings.symbols,
                order_notional=told.order_notional,
                symbol_notional=told.symbol_notional,
                total_notional=told.total_notional,
                max_open_positions=told.max_open_positions,
                daily_loss=told.daily_loss,
                orders_per_second=told.orders_per_second,
                orders_per_minute=told.orders_per_minute,
                max_data_age_ns=int(told.max_data_age_s * 1e9),
                cooldown_ns=int(told.cooldown_s * 1e9),
                base_threshold=self.settings.learner.base_threshold,
                equity_fraction=told.equity_fraction,
                multiplier_min=self.settings.learner.size_min,
                multiplier_max=self.settings.learner.size_max,
                order_type=OrderType(told.order_type),
                max_slippage=told.max_slippage,
                threshold_min=self.settings.learner.threshold_min,
                threshold_max=self.settings.learner.threshold_max,
                ensemble=told.ensemble,
                weight_max=told.weight_max,
                regime=RegimeSettings(
                    int(told.regime.step_s * 1e9), told.regime.window, told.regime.long, told.regime.trending
                ),
            )
        )

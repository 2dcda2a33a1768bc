"""Alpaca's assets as instruments."""

from __future__ import annotations

from decimal import Decimal

from exchanges.alpaca.hours import Hours
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import VENUE, Fields, WireError, fields_of, flag, full, is_crypto, positive, text
from exchanges.model.instrument import ContractKind, Instrument, PriceStep

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_FRACTION = Decimal("0.000000001")
"""The smallest part of a share: quantities have at most nine decimals."""

_ONE = Decimal(1)
_LARGEST = Decimal(10) ** 9
"""The venue names no largest quantity."""

PENNY_STEPS = (PriceStep(_ZERO, Decimal("0.0001")), PriceStep(_ONE, _CENT))
"""A cent at a dollar and above, a hundredth of one below."""


def instrument(value: object, settings: AlpacaSettings, hours: Hours, now_ns: int, *, shorting: bool) -> Instrument:
    """One asset; ``shorting`` is whether the account may sell short at all."""
    fields = fields_of(value, "an asset")
    name, kind = text(fields, "symbol"), text(fields, "class")
    active = fields.get("status") == "active" and flag(fields, "tradable")
    if kind == "crypto":
        return _crypto(name, fields, settings, active)
    if kind != "us_equity":
        raise WireError(f"expected an asset of the class us_equity or crypto, found {name} of {kind!r}")
    fractional = flag(fields, "fractionable")
    lot = _FRACTION if fractional else _ONE
    return Instrument(
        symbol=full(name),
        venue=VENUE,
        native=name,
        kind=ContractKind.EQUITY,
        base=name,
        quote="USD",
        tick=_CENT,
        lot=lot,
        min_quantity=lot,
        max_quantity=_LARGEST,
        min_notional=_ONE if fractional else _ZERO,
        maker_fee=_ZERO,
        taker_fee=_ZERO,
        trading=active and hours.trading(now_ns),
        price_steps=PENNY_STEPS,
        opens_ns=hours.opens_ns(now_ns) if active else 0,
        closes_ns=hours.closes_ns(now_ns) if active else 0,
        short=shorting and flag(fields, "shortable") and flag(fields, "easy_to_borrow"),
    )


def _crypto(name: str, fields: Fields, settings: AlpacaSettings, active: bool) -> Instrument:
    base, _, quote = name.partition("/")
    if not is_crypto(name) or not base or not quote:
        raise WireError(f"expected a crypto pair such as BTC/USD, found {name!r}")
    return Instrument(
        symbol=full(name),
        venue=VENUE,
        native=name,
        kind=ContractKind.SPOT,
        base=base,
        quote=quote,
        tick=positive(fields, "price_increment"),
        lot=positive(fields, "min_trade_increment"),
        min_quantity=positive(fields, "min_order_size"),
        max_quantity=_LARGEST,
        min_notional=_ZERO,
        maker_fee=settings.crypto_maker_fee,
        taker_fee=settings.crypto_taker_fee,
        trading=active,
        short=False,
        fee_in_base=True,
        fee_told=False,
    )

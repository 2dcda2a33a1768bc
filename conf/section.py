"""The base of every part of the settings, and the field types they share."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Frozen and strict: an unknown key, a wrong type, NaN and infinity are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


Seconds = Annotated[float, Field(gt=0)]
"""A duration in seconds, above zero."""

Fraction = Annotated[Decimal, Field(ge=0, le=1)]
"""An exact share of one: 0.01 is one percent."""

Amount = Annotated[Decimal, Field(gt=0)]
"""An exact amount of money in the quote currency, above zero."""

Names = Annotated[tuple[str, ...], Field(strict=False)]
"""Some names, in the order given."""

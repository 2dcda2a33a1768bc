"""Typed settings: one immutable ``Settings``, read by ``load`` from YAML, environment and caller."""

from conf.errors import ConfigError
from conf.loader import load, relaid
from conf.settings import Settings

__all__ = ["ConfigError", "Settings", "load", "relaid"]

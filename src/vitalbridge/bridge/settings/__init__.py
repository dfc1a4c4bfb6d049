"""The configuration of PACS Bridge: its keys, how they are read, what can be wrong with them."""

from vitalbridge.bridge.settings.hl7 import SourceSettings, source_for
from vitalbridge.bridge.settings.load import BUILT_IN, Examination, examine, load
from vitalbridge.bridge.settings.model import Settings, inert_keys
from vitalbridge.bridge.settings.problems import ConfigurationError, Problem

__all__ = [
    "BUILT_IN",
    "ConfigurationError",
    "Examination",
    "Problem",
    "Settings",
    "SourceSettings",
    "examine",
    "inert_keys",
    "load",
    "source_for",
]

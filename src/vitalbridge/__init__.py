"""Vitalbridge: PACS Bridge and Healthcare Records in one distribution."""

__version__ = "0.1.0"

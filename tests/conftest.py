"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# A build must not fail by chance: there the examples are the same each time, elsewhere new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")

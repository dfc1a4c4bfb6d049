"""A simulated hospital that sends to a running bridge, and the modalities that query it."""

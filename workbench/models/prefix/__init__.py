"""The shared-prefix engine: one tree of token prefixes over one key-value cache, and the questions asked of it."""

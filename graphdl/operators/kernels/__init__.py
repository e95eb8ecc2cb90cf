"""The hand-written kernel families, one in each file. ``family`` is their interface."""

"""The hand-written kernel families, one a file: see ``family`` for what each answers."""

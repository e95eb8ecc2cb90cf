"""Expansion: turns blocks, chains and loops into a graph of primitives, and checks all shapes."""

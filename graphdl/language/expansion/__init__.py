"""Expansion: blocks, chains and loops become a graph of primitives, and every shape is checked."""

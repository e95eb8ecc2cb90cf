"""Darknet models to the language: ``.cfg`` and ``.weights`` become a net and the values of its parameters."""

from graphdl.darknet.reading import read, read_files

__all__ = ["read", "read_files"]

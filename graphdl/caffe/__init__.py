"""Caffe models to the language: ``.prototxt`` and ``.caffemodel`` become a net and the values of its parameters."""

from graphdl.caffe.reading import read_files

__all__ = ["read_files"]

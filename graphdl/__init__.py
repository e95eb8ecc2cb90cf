"""graphdl: a deep-learning compiler for a declarative model language, on OpenCL devices of any vendor."""

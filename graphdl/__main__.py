"""``python -m graphdl`` is ``graphdl``."""

from graphdl.cli import main

if __name__ == "__main__":
    main(prog_name="graphdl")

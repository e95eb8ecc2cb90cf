"""Files that are shipped with the package: the grammar, the kernels and the models.

In a wheel they are in ``graphdl/resources/``. In a checkout they are the top-level folders of the same names.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(path: str) -> Path:
    """The location of a shipped file or folder, such as ``grammar/net.lark``.

    Raises:
        FileNotFoundError: neither the package nor the checkout contains it.
    """
    for root in (_PACKAGE / "resources", _PACKAGE.parent):
        candidate = root / path
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"graphdl was installed without '{path}'; reinstall it")

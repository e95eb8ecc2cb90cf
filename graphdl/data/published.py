"""Files that model files name, which their authors publish one by one under a stable address."""

from __future__ import annotations

from collections.abc import Mapping

from graphdl.data.download import Archive

FILES: Mapping[str, Archive] = {
    "tinyshakespeare/input.txt": Archive(
        "input.txt",
        1_115_394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",),
    ),
}
"""By the path below the folder of data sets."""

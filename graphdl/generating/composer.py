"""Sound that a net makes sample by sample."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graphdl.data.dataset import Sound
from graphdl.data.recordings import loudness, quantized
from graphdl.diagnostics import Diagnostic, ModelError
from graphdl.generating.sampling import Sampling, log_probabilities
from graphdl.generating.steps import Arrays, Steps, steps
from graphdl.generating.trained import Run, Trained


class Composer:
    """A net of a run that was trained on ``audio`` with ``levels``: it makes sound, sample by sample."""

    def __init__(self, run: Run | Trained, *, device: str | None = None, net: str | None = None) -> None:
        """``run`` is a run folder. ``net`` is another net of its file, which takes those weights that have the names of
        its own.

        Raises:
            ModelError: E0618, the folder holds no run, or a damaged one; E0626, the run makes no sound.
        """
        self._trained = Trained.of_run(run, device, net)
        name = self.sequence_of(self._trained)
        if name is None:
            raise ModelError(
                Diagnostic("E0626", f"{self._trained.path} makes no sound: it was not trained on 'audio' with 'levels'")
            )
        self._sequence = name
        self._sound: Sound = self._trained.sounds[name]
        self._levels = self._sound.levels or 0
        self._output = self._trained.chances(name, self._levels)

    @staticmethod
    def sequence_of(trained: Trained) -> str | None:
        """The input with the sound so far, as classes of loudness; None if the run has none."""
        return next((name for name, way in trained.sounds.items() if way.levels and way.gives == "wave"), None)

    @property
    def rate(self) -> int:
        """Samples in a second."""
        return self._sound.rate

    @cached_property
    def _steps(self) -> Steps:
        return steps(self._trained.network, self._sequence, [self._output], slides=True)

    def compose(
        self,
        length: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
        given: Mapping[str, object] | None = None,
    ) -> Iterator[float]:
        """Yields ``length`` samples from -1 to 1 that follow silence.

        They are drawn as in ``Writer.write``. ``given`` has the values of the net's other inputs by name, such as a
        label.

        Raises:
            ValueError: an argument is out of range.
            ModelError: E0713, an input is unknown or missing; E0706, it has no such class; E0625, the net looks ahead.
        """
        if length < 1:
            raise ValueError(f"the length is at least 1, not {length}")
        others = self._trained.given(given or {}, [self._sequence])
        return self._sounding(length, Sampling(temperature, top_k, top_p), others, np.random.default_rng(seed))

    def _sounding(
        self, length: int, sampling: Sampling, others: Arrays, random: np.random.Generator
    ) -> Iterator[float]:
        state = self._steps.begin(others, 1)
        last = quantized(np.zeros((1, 1), np.float32), self._levels)
        for _ in range(length):
            outputs, state = self._steps.advance(state, last)
            chosen = sampling.draw(log_probabilities(outputs[self._output][0])[: self._levels], random)
            last = np.array([[chosen]], np.int32)
            yield float(loudness(last, self._levels)[0, 0])


def write_wav(path: str | os.PathLike[str], samples: NDArray[np.floating], rate: int) -> None:
    """Writes samples from -1 to 1 as a WAV file of 16 bits and one channel.

    Raises:
        OSError: it cannot be written.
    """
    numbers = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with open(path, "wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(numbers.tobytes())

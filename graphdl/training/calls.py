"""Calls in a train section for training itself: optimizers and schedules."""

from __future__ import annotations

from graphdl.settings import SettingCall


class TrainingCall(SettingCall):
    """A call in a train section for training itself: an optimizer or a schedule."""

    argument_code = "E0612"
    value_code = "E0613"

    def in_range(self, argument: str, value: float, *, low: float, high: float | None, open_low: bool = False) -> None:
        """Raises ModelError (E0613) unless ``low <= value < high``, or ``low < value`` if ``open_low``."""
        if (value > low if open_low else value >= low) and (high is None or value < high):
            return
        bounds = f"{'above' if open_low else 'at least'} {low:g}" + (f" and below {high:g}" if high is not None else "")
        raise self.error(
            "E0613", f"'{argument}' of '{self.setting.name}' must be {bounds}, found {value:g}", argument=argument
        )

"""Every error scaleprof raises on purpose, with the exit status it ends a command with.

::

    ScaleprofError
    ├── InputError            2  what the user gave is wrong
    │   ├── ModelError           a model reference, its arguments, or the model itself
    │   ├── BudgetError          a budget that does not parse or makes no sense
    │   ├── GateError            a gate that does not parse, or that no measurement could decide
    │   ├── RecipeError          a strategy, axis, factor or multiplier
    │   ├── ReportError          a file that is not a report, or a report too new to read
    │   ├── DeviceError          a device that is not there
    │   └── MissingExtraError    a package that this request needs
    ├── InfeasibleError       1  nothing meets the budget
    └── MeasurementError      4  the program or the hardware broke
"""


class ScaleprofError(Exception):
    """An error with a next step.

    Attributes:
        hint: One imperative sentence, or None where no remedy is known.
        exit_status: What a command that ends with this error exits with.
    """

    exit_status = 4

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InputError(ScaleprofError):
    """What the user gave is wrong."""

    exit_status = 2


class ModelError(InputError):
    """A model reference cannot be resolved, built or run."""


class BudgetError(InputError):
    """A budget does not parse or bounds a quantity in a direction that makes no sense."""


class GateError(InputError):
    """A gate does not parse, makes no sense, or is finer than the noise."""


class RecipeError(InputError):
    """A strategy, axis, factor or multiplier cannot be applied."""


class ReportError(InputError):
    """A file is not a report, is damaged, or is of a newer major version."""


class DeviceError(InputError):
    """The device that was asked for is not there."""


class MissingExtraError(InputError):
    """A package that this request needs is not installed."""


class InfeasibleError(ScaleprofError):
    """Nothing meets the budget."""

    exit_status = 1


class MeasurementError(ScaleprofError):
    """The program or the hardware broke."""

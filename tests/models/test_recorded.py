import functools

from torch import nn

from scaleprof.models import recorded_calls
from scaleprof.models._calls import ConstructorCall, decode_arguments, encode_arguments
from scaleprof.models._instances import instance_arguments


class Setting:
    """Keeps something else than what it is given, so that only a recorded call tells."""

    def __init__(self, channels, factor=2):
        self.wide = channels * factor


class Other(Setting):
    """Inherits its constructor."""


class Branch(nn.Module):
    def __init__(self, *widths, setting=None):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for width in widths)


def test_objects_keep_the_call_that_made_them_with_its_defaults():
    with recorded_calls([Setting]):
        made = Setting(4)
    assert instance_arguments(made) == {"channels": 4, "factor": 2}
    assert instance_arguments(Setting(4)) is None


def test_recording_leaves_classes_as_they_were():
    before = Setting.__init__
    with recorded_calls([Setting, Other]):
        made = Other(3, factor=3)
    assert Setting.__init__ is before
    assert "__init__" not in vars(Other)
    assert instance_arguments(made) == {"channels": 3, "factor": 3}


def test_what_is_given_by_position_alone_has_no_call():
    with recorded_calls([Branch]):
        made = Branch(4, 8)
    assert instance_arguments(made) is None


def test_recorded_objects_survive_json_inside_partials_and_lists():
    with recorded_calls([Setting]):
        given = {"make": functools.partial(nn.Identity, settings=[Setting(4), Setting(5)])}
    values, callables = encode_arguments(given)
    call = ConstructorCall(target="torch.nn:Identity", arguments=values, callables=callables)
    made = decode_arguments(call)["make"].keywords["settings"]
    assert [setting.wide for setting in made] == [8, 10]

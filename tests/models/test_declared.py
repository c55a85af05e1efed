import pytest

from scaleprof import declare
from scaleprof.errors import InputError, ModelError
from scaleprof.models import parse_reference, resolve_model
from scaleprof.models._declared import Declaration, declaration_of

NET = """
import scaleprof
from torch import nn

@scaleprof.declare(width=["sizes[*][0]"], depth=["sizes[*][1]"], inputs=["3x16x16"])
def stages(sizes=((8, 2), (16, 3))):
    layers, last = [], 3
    for channels, blocks in sizes:
        for _ in range(blocks):
            layers += [nn.Conv2d(last, channels, 3, padding=1), nn.ReLU()]
            last = channels
    return nn.Sequential(*layers)

def plain(channels=8):
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 10, 1))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_decorated_builder_says_its_knobs_and_its_input(folder):
    resolved = resolve_model(parse_reference("net.py:stages"))
    assert resolved.declared.width == ("sizes[*][0]",)
    assert resolved.inputs[0].shape == (1, 3, 16, 16)


def test_a_table_declares_what_is_not_ones_own(folder):
    (folder / "scaleprof.toml").write_text('[models."net.py:plain"]\nwidth = ["channels"]\n')
    assert resolve_model(parse_reference("net.py:plain")).declared.width == ("channels",)


def test_the_project_file_holds_the_same_table(folder):
    table = '[tool.scaleprof.models."net.py:plain"]\nwidth = ["channels"]\n'
    (folder / "pyproject.toml").write_text(table)
    assert declaration_of("net.py:plain") == Declaration(width=("channels",))


def test_a_table_goes_before_the_decorator(folder):
    (folder / "scaleprof.toml").write_text('[models."net.py:stages"]\ndepth = ["sizes[*][1]"]\n')
    declared = resolve_model(parse_reference("net.py:stages")).declared
    assert declared == Declaration(depth=("sizes[*][1]",))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[models."net.py:plain"]\nwidht = ["channels"]\n', "unknown field `widht`"),
        ('[models."net.py:plain"]\nwidth = "channels"\n', "Expected `array`"),
        ("models = 3\n", "table of tables"),
    ],
)
def test_what_a_table_gets_wrong_is_said(folder, table, message):
    (folder / "scaleprof.toml").write_text(table)
    with pytest.raises(ModelError, match=message):
        declaration_of("net.py:plain")


@pytest.mark.parametrize("broken", ["scaleprof.toml", "pyproject.toml"])
def test_a_broken_file_is_said_whichever_declares_the_model(folder, broken):
    (folder / "scaleprof.toml").write_text('[models."net.py:plain"]\nwidth = ["channels"]\n')
    (folder / broken).write_text("[models\n")
    with pytest.raises(InputError, match=f"cannot read `{broken}`"):
        declaration_of("net.py:plain")


def test_declaring_returns_what_it_decorates():
    def net(channels=8): ...

    assert declare(width=["channels"])(net) is net

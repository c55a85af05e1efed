import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleprof.errors import InputError, ModelError
from scaleprof.models import parse_input, parse_reference
from scaleprof.records import InputSpec


@pytest.mark.parametrize(
    ("text", "source", "name", "arguments"),
    [
        ("timm:resnet50", "timm", "resnet50", {}),
        ("timm:resnet50.a1_in1k", "timm", "resnet50.a1_in1k", {}),
        ("my.package:Net", "my.package", "Net", {}),
        ("dir/nets.py:Outer.Inner", "dir/nets.py", "Outer.Inner", {}),
        ("nets.py:Net(width=64, depths=(2, 2), act='relu')", "nets.py", "Net",
         {"width": 64, "depths": (2, 2), "act": "relu"}),
        ("nets.py:Net()", "nets.py", "Net", {}),
        ("a (1)/nets.py:Net(width=2)", "a (1)/nets.py", "Net", {"width": 2}),
    ],
)  # fmt: skip
def test_references_parse(text, source, name, arguments):
    got = parse_reference(text)
    assert (got.source, got.name, got.arguments) == (source, name, arguments)


@pytest.mark.parametrize(
    "text",
    ["", "resnet50", ":x", "x:", "timm:resnet50(3)", "timm:r(width=open('x'))", "timm:r(width=",
     "timm:r(**{'a': 1})", "timm:r(a=b)", "x.py:N(a=1) or (2)", "x.py:N(a=1).b(c=2)",
     "x.py:N(a=1j)", "x.py:N(a=...)", f"x.py:N(a={10**27})"],
)  # fmt: skip
def test_what_is_not_a_reference_is_refused_with_a_next_step(text):
    with pytest.raises(ModelError) as caught:
        parse_reference(text)
    assert caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_a_model_error(text):
    try:
        assert parse_reference(text).name
    except ModelError:
        pass


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("3x224x224", InputSpec(shape=(4, 3, 224, 224))),
        ("16", InputSpec(shape=(4, 16))),
        ("bfloat16:3x8", InputSpec(shape=(4, 3, 8), dtype="bfloat16")),
        ("int64:128<5000", InputSpec(shape=(4, 128), dtype="int64", high=5000)),
        ("mask=int64:128<2", InputSpec(shape=(4, 128), dtype="int64", high=2, name="mask")),
    ],
)
def test_inputs_parse_with_the_batch_in_front(text, spec):
    assert parse_input(text, batch=4) == spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3x",
        "x3",
        "3x0x3",
        "3,4",
        "int64:128",
        "3x4<5",
        "complex64:3",
        "-3",
        "a b=3",
        "3x99999999999999999999",
    ],
)
def test_what_is_not_an_input_is_refused(text):
    with pytest.raises(InputError):
        parse_input(text)

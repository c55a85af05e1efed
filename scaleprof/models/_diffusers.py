"""Inputs of the networks of diffusers, by what their forward passes call them.

Their constructors name channels and sizes of what is denoised, and of what conditions it.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from ..records import InputSpec

# length of an encoded prompt: what CLIP's text encoder gives
_PROMPT = 77
# steps of the usual noise schedule
_STEPS = 1000
# of networks that take any size: a quarter of the pixels of common latents
_SIZE = 64
_PROMPT_DIMS = ("caption_channels", "joint_attention_dim", "cross_attention_dim")


def diffusers_inputs(network: Any, arguments: Mapping[str, Any]) -> list[tuple[InputSpec, ...]]:
    """Return sets of inputs to try, the most complete first.

    Args:
        network: Class of the network.
        arguments: What its constructor is given.
    """
    defaults = inspect.signature(network.__init__).parameters
    settings = {name: p.default for name, p in defaults.items() if p.default is not p.empty}
    known = _inputs({**settings, **arguments})
    takes = [name for name in inspect.signature(network.forward).parameters if name in known]
    optional = [name for name in takes if name in ("class_labels", "encoder_hidden_states")]
    return [
        tuple(known[name] for name in takes if name not in left_out)
        for left_out in _subsets(optional)
    ]


def _subsets(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for count in range(len(names) + 1):
        yield from combinations(names, count)


def _inputs(settings: Mapping[str, Any]) -> dict[str, InputSpec]:
    channels, size = settings.get("in_channels") or 3, settings.get("sample_size") or _SIZE
    height, width = (size, size) if isinstance(size, int) else size
    sample = (1, channels, height, width)
    prompt = next((int(settings[n]) for n in _PROMPT_DIMS if _is_count(settings.get(n))), 1)
    pooled, classes = settings.get("pooled_projection_dim"), settings.get("num_embeds_ada_norm")
    specs = [
        InputSpec(shape=sample, name="sample"),
        InputSpec(shape=sample, name="hidden_states"),
        InputSpec(shape=(1, _PROMPT, prompt), name="encoder_hidden_states"),
        InputSpec(shape=(1,), dtype="int64", high=_STEPS, name="timestep"),
        InputSpec(shape=(1,), dtype="int64", high=classes or _STEPS, name="class_labels"),
    ]
    if pooled:
        specs.append(InputSpec(shape=(1, pooled), name="pooled_projections"))
    return {str(spec.name): spec for spec in specs}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0

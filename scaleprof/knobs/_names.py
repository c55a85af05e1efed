"""Names of arguments as a veto: what grows weights, or adds modules, without being the axis.

The effect decides; a name can only rule an argument out.
"""

import re

_NOT_WIDTH = {
    # what the data and the task fix
    r"class|vocab|position|pos_emb|_pos_|^in_ch|^in_dim|input_dim|token|seq|quer(y|ies)|bucket"
    r"|num_embed|mel_bins|num_channels|num_labels": "fixed by data or task",
    # sizes of images and of what slides over them
    r"img|image|input_size|pretrain|resolution|feat_size|spatial|sr_ratio|patch(?!_embeds?_)|kernel|window|stride|grid"
    r"|dilat|padding|block_size|pool|downscale|down_?sampl|halo": "spatial",
    # how channels are divided, not how many there are
    r"(?<!dim_)heads?(?=$|[\[#])|group(?!_size|_width)|cardinality|radix|reps|splits?$"
    r"|divisor|round_limit": "divides channels",
    # repeats; some families generate their channels from the number of blocks
    r"depth(?!wise)|num_layers|n_layers|num_blocks|repeats": "depth",
    # numbers that shape nothing
    r"drop|eps|init(?!_feat|_ch)|prob|decay|momentum|temperature|seed|theta|path_rate": (
        "shapes nothing"
    ),
}
_NOT_DEPTH = {
    r"stem|head|class|vocab|position|img|image|kernel|patch|stride|window|pool|grid": "not blocks",
    # parallel paths: they add modules, but the net gets no deeper
    r"branch|expert|cardinality|radix|scales?$": "parallel",
    r"ratio|reduction|divisor|group|expan": "divides channels",
    r"drop|eps|init|prob|decay|momentum|temperature|path_rate|dilat|out_ind": "shapes nothing",
    r"chs|chan|dim|width|feature|filter|planes": "channels",
}


# ratios of one size to another, and sizes of heads and groups: most follow from sizes that the
# width moves already, so they come last
_DEPENDENT = re.compile(
    r"ratio|reduction|expan|mlp_mult|scales?$|group_|head_dim|dim_head", re.IGNORECASE
)

# what divides channels: counts and sizes of heads and groups
_DIVIDES = re.compile("head|group|cardinality", re.IGNORECASE)

# positions per side of what layers see: not of what slides over it
_GRID = re.compile(
    r"(?<!kernel_)(?<!patch_)(?<!pool_)(?<!group_)(?<!hidden_)size|resolution|grid", re.IGNORECASE
)
# numbers in the code of a class are named by what they are in it, whatever it is called
_CLASS = re.compile(r"^constants\.([^:]+:)?[\w#]+\.")


def _any(patterns: dict[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_WIDTH_VETO, _DEPTH_VETO = _any(_NOT_WIDTH), _any(_NOT_DEPTH)


def may_be_width(name: str) -> bool:
    """Tell whether an argument of this name may be channel counts."""
    return not _WIDTH_VETO.search(_inside(name))


def may_be_depth(name: str) -> bool:
    """Tell whether an argument of this name may be repeat counts."""
    return not _DEPTH_VETO.search(_inside(name))


def is_dependent(name: str) -> bool:
    """Tell whether an argument of this name may say how other channel counts are used."""
    return bool(_DEPENDENT.search(_inside(name)))


def may_divide(name: str) -> bool:
    """Tell whether an argument of this name may be what channels must divide by."""
    return bool(_DIVIDES.search(_inside(name)))


def may_be_grid(name: str) -> bool:
    """Tell whether an argument of this name may be the size of a grid of positions."""
    return bool(_GRID.search(_inside(name)))


def _inside(name: str) -> str:
    return _CLASS.sub("", name)

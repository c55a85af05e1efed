"""A memory that is kept within bounds."""

from scaleprof.models.remembered import remember


def test_a_full_memory_is_emptied_and_what_is_new_stays():
    memory = {}
    for key in "abc":
        remember(memory, key, key.upper(), most=2)
    assert memory == {"c": "C"}


def test_what_is_known_can_be_told_anew():
    memory = {}
    remember(memory, "a", 1, most=2)
    remember(memory, "a", 2, most=2)
    assert memory == {"a": 2}

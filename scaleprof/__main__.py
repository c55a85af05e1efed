"""``python -m scaleprof`` is the command ``scaleprof``."""

from .cli import main

main()

"""The command line: one command per file; parse, call one function, print the record."""

from ._app import main as main

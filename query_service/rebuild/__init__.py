"""Rebuilding a projection in a generation of its own, while the live one serves.

The log up to a position is loaded by COPY, range by range of aggregate ids, by worker processes; then the generation is
brought on to the head, moves along with the live one, is held against it, and takes its place.
"""

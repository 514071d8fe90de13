"""Pure decisions and the words they are made of: standard library only, frozen dataclasses, ``now`` is an argument."""

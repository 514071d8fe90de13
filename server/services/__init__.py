"""Use cases: verbs on the appliance. A door calls one with a ``Services``, a ``Caller`` and plain values."""

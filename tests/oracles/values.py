"""What the oracles share."""


def floats(values):
    return [float(v) for v in values]

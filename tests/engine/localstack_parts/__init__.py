"""One module for each part of LocalStack that is added or remedied; each has `install(...)`."""


def replace(owner, name: str, value):
    """Puts `value` in the place of an attribute and returns what was there; an `AttributeError` when there is none."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    return before

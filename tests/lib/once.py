"""What is costly and shared by the tests of a file: made once, and if that fails, not tried again.

    @once
    def boots(): ...
"""

import functools


def once(make):
    """As functools.cache for a function without arguments, but for failures too."""

    @functools.cache
    def attempt():
        try:
            return make(), None
        except Exception as error:
            return None, error

    @functools.wraps(make)
    def made():
        result, error = attempt()
        if error:
            raise RuntimeError(f"{make.__name__}() has failed: {error}") from error
        return result

    return made

"""Properties that take long: tried with few examples in the fast tests, with many in the long ones."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import pytest
from hypothesis import given, settings


def tried(few: int, many: int, *strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """In place of `given` and `settings`: the test gets a parameter, which says with how many examples."""

    def parametrized(check: Callable[..., None]) -> Callable[..., None]:
        drawn = {
            number: settings(max_examples=number, deadline=None)(given(*strategies)(check))
            for number in (few, many)
        }
        asked = signature(drawn[few])

        def test(examples: int, **fixtures: Any) -> None:
            drawn[examples](**fixtures)

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
        test.__module__ = check.__module__
        # pytest reads in it which fixtures the test wants.
        parameters = [Parameter("examples", Parameter.KEYWORD_ONLY), *asked.parameters.values()]
        test.__signature__ = asked.replace(  # type: ignore[attr-defined]
            parameters=sorted(parameters, key=lambda parameter: parameter.kind)
        )
        counts = [few, pytest.param(many, marks=pytest.mark.long)]
        return pytest.mark.parametrize("examples", counts)(test)

    return parametrized

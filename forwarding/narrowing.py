"""One bad event fails a platform's whole request: it is found, and the rest is told.

Some platforms name the guilty ones. Where none is named, the batch is halved until the guilty one is alone:
of n deliveries, in log₂ n requests more, and one for those that are left.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from forwarding.deliveries import Delivery, Outcome

MOST_REQUESTS = 40
"""For one batch. What is undecided by then is tried again later: a batch of bad events holds up no other."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one request came to, for all of its deliveries.

    `is_of_some`: at least one of them is to blame, and nobody knows which. `guilty`: those that are, by
    delivery id; of the others nothing is known.
    """

    outcome: Outcome
    is_of_some: bool = False
    guilty: Mapping[str, Outcome] = field(default_factory=dict)


async def send_narrowing(
    deliveries: Sequence[Delivery], tell: Callable[[Sequence[Delivery]], Awaitable[Said]]
) -> dict[str, Outcome]:
    """Tell a batch; returns what became of each. `tell` makes one request."""
    outcomes: dict[str, Outcome] = {}
    # Of the suspects at least one is guilty, as `said` says of them; of the waiting nothing is known.
    suspects: list[Delivery] = []
    waiting = list(deliveries)
    said = Said(Outcome("retry"))
    requests = 0
    while suspects or waiting:
        if len(suspects) == 1:
            outcomes[suspects.pop().delivery_id] = said.outcome
            continue
        if requests == MOST_REQUESTS:
            undecided = Outcome("retry", said.outcome.code, said.outcome.text, said.outcome.status)
            return outcomes | {each.delivery_id: undecided for each in (*suspects, *waiting)}
        told = suspects[: len(suspects) // 2] or waiting
        rest = suspects[len(told) :] if suspects else []
        answer = await tell(told)
        requests += 1
        if answer.guilty:
            outcomes |= answer.guilty
            innocent = [each for each in told if each.delivery_id not in answer.guilty]
            waiting = innocent + (rest + waiting if suspects else [])
            suspects, said = [], answer
        elif answer.is_of_some:
            waiting = rest + waiting if suspects else []
            suspects, said = list(told), answer
        elif answer.outcome.result in ("delivered", "accepted"):
            outcomes |= {each.delivery_id: answer.outcome for each in told}
            waiting = waiting if suspects else []
            suspects = rest
        else:
            # Nothing can be told now, whoever is to blame.
            return outcomes | {each.delivery_id: answer.outcome for each in (*told, *rest, *waiting)}
    return outcomes

"""How soon a build follows another, for who starts builds and for who tells people when."""

LOOK_EVERY_S = 10
"""So often somebody looks whether anything is new."""

SHORTEST_INTERVAL_S = 60.0


def shortest_interval_s(took_s: float) -> float:
    """Seconds from the start of a build that took so long to that of the next.

    Builds leave at least half of the machine's time.
    """
    return max(SHORTEST_INTERVAL_S, 2 * took_s)

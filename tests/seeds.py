"""Seeds of tests that choose at random: another one for each run, and a way to have one again."""

import os
import random


def a_seed() -> int:
    """A new one for each run, printed with what fails; `FUNNELHOUSE_TEST_SEED` repeats one."""
    seed = int(os.environ.get("FUNNELHOUSE_TEST_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"FUNNELHOUSE_TEST_SEED={seed}")
    return seed

"""What a project defines over HTTP: goals, funnels, pages, traffic sources, experiments, its settings.

One file per kind: the shape that PUT takes, the body that is stored (JSON, flat for SQL: amounts are plain
decimal text in major units, times Unix microseconds, every key always there), and how it is shown again.
`versions` keeps them, append-only; `routes` are the same for all of them. What they mean is SQL,
where the newest version holds for all history.
"""

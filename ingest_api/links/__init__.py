"""Links that record who follows them, and lead on: `/c/{project}/{link}`.

`addresses` knows what a link may lead to, and fills its tokens; `clicks` makes of a request what is recorded,
and where it leads; `routes` answer. What a click fires is SQL.
"""

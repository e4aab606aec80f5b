"""The server's half of the tracker: the script and its config, what it sends, and the visitor's cookie.

The script itself is in `tracker/`, whose README says what both sides agree on.
"""

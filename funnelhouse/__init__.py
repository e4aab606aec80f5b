"""What the rooms share: settings, keys, problems, the plumbing of HTTP servers."""

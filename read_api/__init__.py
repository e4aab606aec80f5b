"""SERVE: reports over the published marts only."""

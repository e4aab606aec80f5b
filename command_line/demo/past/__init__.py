"""What a made-up lamp shop went through in its last ninety days, up to this minute: the demo's data."""

"""What the rooms share: settings, the event contract, the landing store, keys."""

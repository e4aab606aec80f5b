"""What is kept: the event contract, the landing stores, the permanent record. Imports nothing of ours."""

"""One file per dialect: how a vendor's request becomes events, and how it is answered."""

"""The demo's shop: pages with the tracker, reached by an ad's link, and a server that takes orders."""

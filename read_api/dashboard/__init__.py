"""The dashboard: pages for people below `/app/`, rendered from the functions that the read API answers with.

Whoever signs in shows an API key, which stays on the server; the browser holds a random session id. The pages
only read. What is defined in them goes through the ingest API, with the signed-in key.
"""

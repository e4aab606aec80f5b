"""Reports over the published marts: one module each, with its query as a plain function, and its route.

A query takes a Reader, the project's id and what was asked for, binds every value, and returns rows in an
order that is the same each time. The dashboard calls the same functions.
"""

PATH = "/v1/projects/{project_id}/reports"
"""Where the routes are."""

"""RUN: Dagster moves sealed data through dbt and the checks to publication."""

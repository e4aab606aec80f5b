-- One row per event that this build works on: in a full build every one.
{{ config(materialized='in_work') }}
select * -- noqa: AM04
from {{ ref('int_events') }}
where {{ is_among('seq', ref('int_work')) }}

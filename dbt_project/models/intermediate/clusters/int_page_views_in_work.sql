-- One row per page view that this build works on: in a full build every one.
{{ config(materialized='in_work') }}
select * -- noqa: AM04
from {{ ref('int_page_views') }}
where {{ is_among('seq', ref('int_events_in_work')) }}

-- One row per event that this build works on: in a whole build every one.
select * -- noqa: AM04
from {{ ref('int_events_deduplicated') }}
where {{ is_among('seq', ref('int_events_to_rebuild')) }}

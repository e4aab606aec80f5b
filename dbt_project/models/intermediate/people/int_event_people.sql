-- One row per event that this build works on: the visitor and the person that it belongs to.
select * -- noqa: AM04
from {{ ref('int_event_people_resolved') }}
where {{ is_among('seq', ref('int_events_to_rebuild')) }}

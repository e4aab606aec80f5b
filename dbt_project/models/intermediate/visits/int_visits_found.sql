-- One row per report that this build works on and that names a visit or visitor: the page view found.
select * -- noqa: AM04
from {{ ref('int_visits_looked_up') }}
where {{ is_among('seq', ref('int_events_to_rebuild')) }}

-- One row per page view that this build works on: in a whole build every one.
select * -- noqa: AM04
from {{ ref('int_page_views_classified') }}
where {{ is_among('seq', ref('int_events_to_rebuild')) }}

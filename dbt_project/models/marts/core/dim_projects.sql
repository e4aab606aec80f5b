-- One row per project that has sent or defined anything: the settings that its figures follow.
with projects as (
    select * from {{ ref('int_projects') }}
),

events as (
    select
        project_id,
        count(*) as events,
        max(received_us) as last_received_us
    from {{ ref('int_events') }}
    group by project_id
)

select
    projects.project_id,
    projects.time_zone,
    projects.reporting_currency,
    {{ whole_days('projects.lookback_us') }} as lookback_days,
    {{ whole_days('projects.half_life_us') }} as half_life_days,
    {{ whole_seconds('projects.session_gap_us') }} as session_gap_seconds,
    projects.counts_direct,
    projects.postbacks_take_extended_status,
    '{{ var("default_model") }}' as default_model,
    coalesce(events.events, 0) as events,
    {{ utc_timestamp('events.last_received_us') }} as last_received_at
from projects
left join events on projects.project_id = events.project_id

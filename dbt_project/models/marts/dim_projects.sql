-- One row per project that has sent or defined anything: the settings that its figures follow.
with projects as (
    select * from {{ ref('int_projects') }}
),

reports as (
    select
        project_id,
        count(*) as reports,
        max(received_us) as last_received_us
    from {{ ref('stg_raw__events') }}
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
    coalesce(reports.reports, 0) as reports,
    {{ utc_timestamp('reports.last_received_us') }} as last_received_at
from projects
left join reports on projects.project_id = reports.project_id

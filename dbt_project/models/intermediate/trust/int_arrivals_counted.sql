-- One row per project, day of arrival, measure and detail: how many came, and how odd.
with events as (
    select * from {{ ref('int_events') }}
),

repeated as (
    select * from {{ ref('int_reports_repeated') }}
),

rejected as (
    select * from {{ ref('stg_raw__rejected') }}
),

set_aside as (
    select
        project_id,
        received_us,
        'events_set_aside' as measure,
        reason
    from {{ ref('int_events_set_aside') }}
    where project_id is not null
    union all
    {% for table in ['definitions', 'costs'] %}
    select
        project_id,
        received_us,
        '{{ table }}_set_aside' as measure,
        set_aside_reason as reason
    from {{ ref('stg_raw__' ~ table) }}
    where set_aside_reason is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

projects as (
    select * from {{ ref('int_projects') }}
),

arrivals as (
    select
        project_id,
        received_us,
        'events' as measure,
        dialect as detail
    from events
    union all
    select
        project_id,
        received_us,
        'clock_ahead' as measure,
        dialect as detail
    from events
    where is_time_corrected
    union all
    select
        project_id,
        received_us,
        'times_unusable' as measure,
        dialect as detail
    from events
    where is_time_unusable
    union all
    select
        project_id,
        received_us,
        'junk_ids' as measure,
        dialect as detail
    from events
    where has_junk_id
    union all
    select
        project_id,
        received_us,
        'junk_order_ids' as measure,
        dialect as detail
    from events
    where has_junk_order_id
    union all
    select
        project_id,
        received_us,
        'hit_and_vid_both' as measure,
        dialect as detail
    from events
    where dialect = 'funnelflux' and {{ json_value('properties', "'has_hit_and_vid'") }} = 'true'
    union all
    select
        project_id,
        received_us,
        case when has_other_content then 'same_event_id_other_content' else 'duplicates_of_event_id' end
            as measure,
        dialect as detail
    from repeated
    union all
    select
        project_id,
        received_us,
        'texts_out_of_bounds' as measure,
        dialect as detail
    from events
    where has_text_out_of_bounds
    union all
    select
        project_id,
        received_us,
        'experiments_left_out' as measure,
        dialect as detail
    from events
    where
        -- Fewer are shorter, and counting takes longer than measuring.
        {{ text_bytes('experiments') }} > 6 * {{ var('experiments_at_most') }}
        and {{ json_key_count('experiments') }} > {{ var('experiments_at_most') }}
    union all
    select
        project_id,
        received_us,
        measure,
        reason as detail
    from set_aside
    union all
    select
        project_id,
        received_us,
        'rejected' as measure,
        path || ': ' || reason as detail
    from rejected
),

by_quarter_hour as (
    -- Days begin at a quarter of an hour wherever people live, and there are fewer of those than events.
    select
        project_id,
        measure,
        detail,
        {{ quarter_hour_us('received_us') }} as received_us,
        count(*) as occurrences
    from arrivals
    group by project_id, measure, detail, {{ quarter_hour_us('received_us') }}
),

dated as (
    select
        by_quarter_hour.*,
        -- A project of which nothing was ever accepted has no settings.
        {{ project_date('by_quarter_hour.received_us', "coalesce(projects.time_zone, 'UTC')") }}
            as received_date
    from by_quarter_hour
    left join projects on by_quarter_hour.project_id = projects.project_id
)

select
    project_id,
    received_date,
    measure,
    detail,
    cast(sum(occurrences) as bigint) as occurrences
from dated
group by project_id, received_date, measure, detail

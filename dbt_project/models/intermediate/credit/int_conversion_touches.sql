-- One row per conversion and touch that may share its credit: within the look-back, or of the named visit.
with conversions as (
    -- Rejected conversions count nowhere; pending ones have credit and no money.
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

touches as (
    select * from {{ ref('int_touches') }}
),

traced as (
    select * from {{ ref('int_conversions_traced') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

paid_mediums as (
    select * from {{ ref('paid_mediums') }}
),

traffic_sources as (
    select * from {{ ref('int_traffic_sources') }}
),

within_look_back as (
    select
        conversions.conversion_id,
        conversions.project_id,
        conversions.person_id,
        touches.touch_id,
        touches.seq,
        touches.source,
        touches.medium,
        touches.touched_us
    from conversions
    inner join projects on conversions.project_id = projects.project_id
    inner join touches
        on
            conversions.person_id = touches.person_id
            and conversions.occurred_us >= touches.touched_us
            and touches.touched_us >= conversions.occurred_us - projects.lookback_us
),

brought_by as (
    -- What brought the page view that the sender named: the latest touch of its session up to it.
    select
        conversions.conversion_id,
        conversions.project_id,
        conversions.person_id,
        touches.touch_id,
        touches.seq,
        touches.source,
        touches.medium,
        -- It counts whatever its age; where its clock says later, at the conversion's time.
        least(touches.touched_us, conversions.occurred_us) as touched_us,
        row_number() over (
            partition by conversions.conversion_id order by touches.touched_us desc, touches.seq desc
        ) as recency
    from conversions
    inner join traced on conversions.conversion_id = traced.conversion_id
    inner join activities as named on traced.named_page_view_seq = named.seq
    inner join touches
        on
            named.first_page_view_seq = touches.first_page_view_seq
            and named.occurred_us >= touches.touched_us
),

claimed as (
    select
        *,
        0 as is_named
    from within_look_back
    union all
    select
        conversion_id,
        project_id,
        person_id,
        touch_id,
        seq,
        source,
        medium,
        touched_us,
        1 as is_named
    from brought_by
    where recency = 1
),

merged as (
    select
        conversion_id,
        project_id,
        person_id,
        touch_id,
        seq,
        source,
        medium,
        touched_us,
        max(is_named) = 1 as is_named
    from claimed
    group by conversion_id, project_id, person_id, touch_id, seq, source, medium, touched_us
),

numbered as (
    select
        *,
        row_number() over (partition by conversion_id order by touched_us, seq) as touch_number,
        count(*) over (partition by conversion_id) as touch_count,
        max(touched_us) over (partition by conversion_id) as latest_touched_us,
        row_number() over (partition by conversion_id, source order by touched_us, seq)
            as source_touch_number,
        count(*) over (partition by conversion_id, source) as source_touch_count
    from merged
)

select
    numbered.conversion_id,
    numbered.project_id,
    numbered.person_id,
    numbered.touch_id,
    numbered.seq as touch_seq,
    numbered.source,
    coalesce(origins.is_paid, sources.is_paid, paid_mediums.medium is not null) as is_paid,
    numbered.is_named,
    numbered.touched_us,
    numbered.latest_touched_us,
    numbered.touch_number,
    numbered.touch_count,
    numbered.source_touch_number,
    numbered.source_touch_count,
    cast(
        sum(case when numbered.source_touch_number = 1 then 1 else 0 end)
            over (partition by numbered.conversion_id)
        as bigint
    ) as source_count
from numbered
left join paid_mediums on lower(numbered.medium) = paid_mediums.medium
left join traffic_sources as origins
    on
        numbered.project_id = origins.project_id
        and lower(numbered.source) = origins.source
        and lower(numbered.medium) = origins.medium
left join traffic_sources as sources
    on
        numbered.project_id = sources.project_id
        and lower(numbered.source) = sources.source
        and sources.medium is null

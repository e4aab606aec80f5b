-- One row per conversion and touch that may share its credit: within the look-back, or of the named visit.
with conversions as (
    -- Rejected conversions count nowhere; pending ones have credit and no money.
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

touches as (
    select
        touch_id,
        seq,
        person_id,
        first_page_view_seq,
        source,
        medium,
        touched_us
    from {{ ref('int_touches') }}
),

numbered_touches as (
    select
        *,
        row_number() over (partition by person_id order by touched_us, seq, touch_id) as person_touch_number
    from touches
    where person_id in (select conversions.person_id from conversions)
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

timeline as (
    -- A person's touches, and where the look-back of each conversion begins and ends among them.
    select
        person_id,
        touched_us as at_us,
        1 as place,
        cast(null as string) as conversion_id
    from numbered_touches
    {% for at_us, place in [
        ('conversions.occurred_us - projects.lookback_us', 0), ('conversions.occurred_us', 2)
    ] %}
    union all
    select
        conversions.person_id,
        {{ at_us }} as at_us,
        {{ place }} as place,
        conversions.conversion_id
    from conversions
    inner join projects on conversions.project_id = projects.project_id
    {% endfor %}
),

counted as (
    select
        conversion_id,
        sum(case when place = 1 then 1 else 0 end) over (
            partition by person_id order by at_us, place rows between unbounded preceding and current row
        ) as touches_until
    from timeline
),

spans as (
    select
        conversion_id,
        cast(min(touches_until) as bigint) as touches_before,
        cast(max(touches_until) as bigint) as touches_until
    from counted
    where conversion_id is not null
    group by conversion_id
    having max(touches_until) > min(touches_until)
),

crowded as (
    -- What a person's conversions may take together is bounded, since touches times conversions has no end.
    select
        spans.conversion_id,
        conversions.project_id,
        conversions.person_id,
        conversions.occurred_us,
        spans.touches_before,
        spans.touches_until,
        sum(spans.touches_until - spans.touches_before) over (partition by conversions.person_id)
            as persons_touches,
        count(*) over (partition by conversions.person_id) as persons_conversions
    from spans
    inner join conversions on spans.conversion_id = conversions.conversion_id
),

allowed as (
    select
        *,
        least(touches_until - touches_before, {{ work_limit('conversion_touches') }}, case
            when persons_touches > {{ work_limit('person_touches') }}
                then greatest({{ quota(work_limit('person_touches'), 1, 'persons_conversions') }}, 2)
            else touches_until
        end) as touches_taken
    from crowded
),

counted_back as (
    -- Its latest touches; of more than may be taken the earliest too.
    select
        *,
        touches_until - touches_before - touches_taken as touches_left_out,
        {{ each_number_below('touches_taken') }} as back_number
    from allowed
),

taken_numbers as (
    select
        *,
        case
            when back_number = touches_taken - 1 then touches_before + 1
            else touches_until - back_number
        end as person_touch_number
    from counted_back
),

within_look_back as (
    select
        taken_numbers.conversion_id,
        taken_numbers.project_id,
        taken_numbers.person_id,
        taken_numbers.touches_left_out,
        numbered_touches.touch_id,
        numbered_touches.seq,
        numbered_touches.source,
        numbered_touches.medium,
        numbered_touches.touched_us
    from taken_numbers
    inner join numbered_touches
        on
            taken_numbers.person_id = numbered_touches.person_id
            and taken_numbers.person_touch_number = numbered_touches.person_touch_number
),

named as (
    select
        conversions.conversion_id,
        conversions.project_id,
        conversions.person_id,
        conversions.occurred_us,
        activities.first_page_view_seq,
        activities.occurred_us as viewed_us
    from conversions
    inner join traced on conversions.conversion_id = traced.conversion_id
    inner join activities on traced.named_page_view_seq = activities.seq
),

named_sessions as (
    -- What brought the page view that the sender named: the latest touch of its session up to it.
    select
        first_page_view_seq,
        touched_us as at_us,
        0 as is_named,
        seq,
        touch_id,
        cast(null as string) as conversion_id
    from touches
    where first_page_view_seq in (select named.first_page_view_seq from named)
    union all
    select
        first_page_view_seq,
        viewed_us as at_us,
        1 as is_named,
        cast(null as bigint) as seq,
        cast(null as string) as touch_id,
        conversion_id
    from named
),

looked_back as (
    select
        conversion_id,
        {{ latest_known('touch_id') }} over (
            partition by first_page_view_seq
            order by at_us, is_named, seq
            rows between unbounded preceding and current row
        ) as touch_id
    from named_sessions
),

brought_by as (
    select
        named.conversion_id,
        named.project_id,
        named.person_id,
        touches.touch_id,
        touches.seq,
        touches.source,
        touches.medium,
        -- It counts whatever its age; where its clock says later, at the conversion's time.
        least(touches.touched_us, named.occurred_us) as touched_us
    from named
    inner join looked_back on named.conversion_id = looked_back.conversion_id
    inner join touches on looked_back.touch_id = touches.touch_id
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
        cast(0 as bigint) as touches_left_out,
        touch_id,
        seq,
        source,
        medium,
        touched_us,
        1 as is_named
    from brought_by
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
        max(is_named) = 1 as is_named,
        max(touches_left_out) as touches_left_out
    from claimed
    group by conversion_id, project_id, person_id, touch_id, seq, source, medium, touched_us
),

numbered as (
    select
        *,
        -- A named touch of the conversion's very time may be of a later one: it comes last.
        row_number() over (partition by conversion_id order by touched_us, is_named, seq) as touch_number,
        count(*) over (partition by conversion_id) as touch_count,
        max(touches_left_out) over (partition by conversion_id) as conversion_touches_left_out,
        max(touched_us) over (partition by conversion_id) as latest_touched_us,
        row_number() over (partition by conversion_id, source order by touched_us, is_named, seq)
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
    ) as source_count,
    numbered.conversion_touches_left_out as touches_left_out
from numbered
left join paid_mediums on {{ lower_case('numbered.medium') }} = paid_mediums.medium
left join traffic_sources as origins
    on
        numbered.project_id = origins.project_id
        and {{ lower_case('numbered.source') }} = origins.source
        and {{ lower_case('numbered.medium') }} = origins.medium
left join traffic_sources as sources
    on
        numbered.project_id = sources.project_id
        and {{ lower_case('numbered.source') }} = sources.source
        and sources.medium is null

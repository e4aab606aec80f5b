-- One row per person and ad click that a conversion names, and that no page view until then carried.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
),

events as (
    select * from {{ ref('int_events_in_work') }}
),

traced as (
    select * from {{ ref('int_conversions_traced') }}
),

clicks_seen as (
    select
        project_id,
        click_id_type,
        click_id,
        min(occurred_us) as first_seen_us
    from {{ ref('int_page_views_in_work') }}
    where click_id is not null
    group by project_id, click_id_type, click_id
),

named as (
    select
        events.seq,
        events.project_id,
        traced.person_id,
        events.visitor_id,
        events.occurred_us,
        events.click_id_type,
        events.click_id,
        events.country,
        row_number() over (
            partition by traced.person_id, events.click_id_type, events.click_id
            order by events.occurred_us, events.seq
        ) as naming_number
    from reports
    inner join events on reports.seq = events.seq
    inner join traced on reports.conversion_id = traced.conversion_id
    left join clicks_seen
        on
            events.project_id = clicks_seen.project_id
            and events.click_id_type = clicks_seen.click_id_type
            and events.click_id = clicks_seen.click_id
    where
        events.click_id is not null
        and (clicks_seen.first_seen_us is null or clicks_seen.first_seen_us > events.occurred_us)
),

click_id_types as (
    select * from {{ ref('click_id_types') }}
    -- That of any traffic source says nothing of which one it was.
    where source <> ''
)

select
    {{ click_touch_id('named.project_id', 'named.person_id', 'named.click_id_type', 'named.click_id') }}
        as touch_id,
    named.seq,
    named.project_id,
    named.person_id,
    named.visitor_id,
    named.occurred_us as touched_us,
    click_id_types.source,
    click_id_types.medium,
    named.click_id,
    named.click_id_type,
    named.country
from named
inner join click_id_types on named.click_id_type = click_id_types.click_id_type
where named.naming_number = 1

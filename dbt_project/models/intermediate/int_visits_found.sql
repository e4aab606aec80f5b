-- One row per report, other than a page view, and the page view found for it: by hit, session or visitor.
with page_views as (
    select * from {{ ref('int_page_views') }}
),

reports as (
    select * from {{ ref('int_events') }}
    where kind <> 'visit'
),

report_keys as (
    select
        project_id,
        seq,
        occurred_us,
        'hit' as key_type,
        hit_id as key_value
    from reports
    where hit_id is not null
    union all
    select
        project_id,
        seq,
        occurred_us,
        'session' as key_type,
        session_id as key_value
    from reports
    where session_id is not null
    union all
    select
        project_id,
        seq,
        occurred_us,
        'visitor' as key_type,
        visitor_id as key_value
    from reports
    where visitor_id is not null
),

asked_keys as (
    select distinct
        project_id,
        key_type,
        key_value
    from report_keys
),

page_view_keys as (
    select
        project_id,
        seq,
        occurred_us,
        'hit' as key_type,
        hit_id as key_value
    from page_views
    union all
    select
        project_id,
        seq,
        occurred_us,
        'session' as key_type,
        session_id as key_value
    from page_views
    union all
    select
        project_id,
        seq,
        occurred_us,
        'visitor' as key_type,
        visitor_id as key_value
    from page_views
),

timeline as (
    select
        project_id,
        key_type,
        key_value,
        occurred_us,
        seq,
        true as is_report,
        cast(null as bigint) as page_view_seq
    from report_keys
    union all
    select
        page_view_keys.project_id,
        page_view_keys.key_type,
        page_view_keys.key_value,
        page_view_keys.occurred_us,
        page_view_keys.seq,
        false as is_report,
        page_view_keys.seq as page_view_seq
    from page_view_keys
    inner join asked_keys
        on
            page_view_keys.project_id = asked_keys.project_id
            and page_view_keys.key_type = asked_keys.key_type
            and page_view_keys.key_value = asked_keys.key_value
),

looked_up as (
    -- The latest page view at or before the report; where there is none, the earliest after it.
    select
        seq,
        key_type,
        is_report,
        coalesce(
            last_value(page_view_seq ignore nulls) over (
                partition by project_id, key_type, key_value
                order by occurred_us, is_report, seq
                rows between unbounded preceding and current row
            ),
            first_value(page_view_seq ignore nulls) over (
                partition by project_id, key_type, key_value
                order by occurred_us, is_report, seq
                rows between current row and unbounded following
            )
        ) as page_view_seq
    from timeline
),

ranked as (
    select
        seq,
        page_view_seq,
        key_type,
        row_number() over (
            partition by seq
            order by case key_type when 'hit' then 1 when 'session' then 2 else 3 end
        ) as preference
    from looked_up
    where is_report and page_view_seq is not null
)

select
    seq,
    page_view_seq,
    key_type as matched_by
from ranked
where preference = 1

-- One row per report, other than a page view, and the page view found for it: by hit, session or visitor.
{% set key_types = ['hit', 'session', 'visitor'] %}
with page_views as (
    select * from {{ ref('int_page_views') }}
),

reports as (
    select * from {{ ref('int_events') }}
    where kind <> 'visit'
),

report_keys as (
    {% for key_type in key_types %}
    select
        project_id,
        seq,
        occurred_us,
        '{{ key_type }}' as key_type,
        {{ key_type }}_id as key_value
    from reports
    where {{ key_type }}_id is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

asked_keys as (
    select distinct
        project_id,
        key_type,
        key_value
    from report_keys
),

page_view_keys as (
    -- Only under the keys that a report asks for: most page views are never named.
    {% for key_type in key_types %}
    select
        page_views.project_id,
        page_views.seq,
        page_views.occurred_us,
        asked_keys.key_type,
        asked_keys.key_value
    from page_views
    inner join asked_keys
        on
            asked_keys.key_type = '{{ key_type }}'
            and page_views.project_id = asked_keys.project_id
            and page_views.{{ key_type }}_id = asked_keys.key_value
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

timeline as (
    select
        *,
        true as is_report,
        cast(null as bigint) as page_view_seq
    from report_keys
    union all
    select
        *,
        false as is_report,
        seq as page_view_seq
    from page_view_keys
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
            order by case key_type
                {% for key_type in key_types %}
                when '{{ key_type }}' then {{ loop.index }}
                {% endfor %}
            end
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

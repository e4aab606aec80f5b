-- One row per session, with the origin of its first page view.
{# Each use reads the table: engines would keep what is read twice, with every column. #}
{% set activities, page_views = ref('int_activities_sessionized'), ref('int_page_views_in_work') %}
{% set parts_in_any_case = ['campaign', 'term', 'content'] %}
with spellings as (
    select * from {{ ref('int_origin_spellings') }}
),

spans as (
    select
        first_page_view_seq,
        max(occurred_us) as ended_us,
        cast(sum(case when is_page_view then 1 else 0 end) as bigint) as page_views
    from {{ activities }}
    group by first_page_view_seq
),

views_with_country as (
    select
        activities.first_page_view_seq,
        page_views.country,
        row_number() over (
            partition by activities.first_page_view_seq order by page_views.occurred_us, page_views.seq
        ) as country_number
    from {{ activities }} as activities
    inner join {{ page_views }} as page_views on activities.seq = page_views.seq
    where page_views.country is not null
),

countries as (
    -- The first page view of the session that names a country.
    select
        first_page_view_seq,
        country
    from views_with_country
    where country_number = 1
)

select
    first_view.event_key as session_id,
    first_view.seq as first_page_view_seq,
    opening.project_id,
    opening.person_id,
    opening.visitor_id,
    opening.session_id as sender_session_id,
    first_view.occurred_us as started_us,
    spans.ended_us,
    first_view.origin,
    first_view.source,
    first_view.medium,
    {% for part in parts_in_any_case %}
    {{ part }}_spellings.spelling as {{ part }},
    {% endfor %}
    first_view.click_id,
    first_view.click_id_type,
    first_view.external_click_id,
    first_view.referrer_host,
    first_view.url as landing_url,
    first_view.page_path as landing_page,
    countries.country,
    spans.page_views,
    first_view.origin = 'none' as is_direct,
    first_view.is_bot
from spans
inner join {{ page_views }} as first_view on spans.first_page_view_seq = first_view.seq
inner join {{ activities }} as opening on spans.first_page_view_seq = opening.seq
left join countries on spans.first_page_view_seq = countries.first_page_view_seq
{% for part in parts_in_any_case %}
left join spellings as {{ part }}_spellings
    on
        first_view.project_id = {{ part }}_spellings.project_id
        and {{ part }}_spellings.part = '{{ part }}'
        and {{ lower_case('first_view.' ~ part) }} = {{ part }}_spellings.compared_text
{% endfor %}

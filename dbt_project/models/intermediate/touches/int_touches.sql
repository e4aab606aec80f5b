-- One row per touch: a page view that brought a known source, or an ad click that only a conversion names.
{% set page_views = ref('int_page_views_in_work') %}
{% set parts_in_any_case = ['campaign', 'term', 'content'] %}
with activities as (
    select * from {{ ref('int_activities_sessionized') }}
    where is_page_view
),

origins as (
    select
        seq,
        origin
    from {{ page_views }}
),

candidates as (
    -- Told apart by narrow columns first: most page views are no touch.
    select activities.*
    from activities
    inner join origins on activities.seq = origins.seq
    where
        activities.seq = activities.first_page_view_seq
        or origins.origin in ('utm', 'click_id')
),

sessions as (
    -- Known bots touch nobody.
    select * from {{ ref('int_sessions') }}
    where not is_bot
),

projects as (
    select * from {{ ref('int_projects') }}
),

spellings as (
    select * from {{ ref('int_origin_spellings') }}
)

select
    {{ view_touch_id('page_views.project_id', 'page_views.event_key') }} as touch_id,
    page_views.seq,
    page_views.project_id,
    candidates.person_id,
    candidates.visitor_id,
    sessions.session_id,
    sessions.first_page_view_seq,
    page_views.occurred_us as touched_us,
    coalesce(page_views.source, '(direct)') as source,
    page_views.medium,
    {% for part in parts_in_any_case %}
    {{ part }}_spellings.spelling as {{ part }},
    {% endfor %}
    page_views.click_id,
    page_views.click_id_type,
    page_views.external_click_id,
    page_views.page_path as landing_page,
    coalesce(page_views.country, sessions.country) as country
from {{ page_views }} as page_views
inner join candidates on page_views.seq = candidates.seq
inner join sessions on candidates.first_page_view_seq = sessions.first_page_view_seq
inner join projects on page_views.project_id = projects.project_id
{% for part in parts_in_any_case %}
left join spellings as {{ part }}_spellings
    on
        page_views.project_id = {{ part }}_spellings.project_id
        and {{ part }}_spellings.part = '{{ part }}'
        and {{ lower_case('page_views.' ~ part) }} = {{ part }}_spellings.compared_text
{% endfor %}
where
    (page_views.origin <> 'none' or projects.counts_direct)
    and (
        page_views.seq = sessions.first_page_view_seq
        -- A later page view counts when its own UTM or click id differs from its session's.
        or page_views.source is distinct from sessions.source
        or page_views.medium is distinct from sessions.medium
        {% for part in parts_in_any_case %}
        or {{ part }}_spellings.spelling is distinct from sessions.{{ part }}
        {% endfor %}
        or page_views.click_id is distinct from sessions.click_id
    )
union all
select
    touch_id,
    seq,
    project_id,
    person_id,
    visitor_id,
    cast(null as string) as session_id,
    cast(null as bigint) as first_page_view_seq,
    touched_us,
    source,
    medium,
    cast(null as string) as campaign,
    cast(null as string) as term,
    cast(null as string) as content,
    click_id,
    click_id_type,
    cast(null as string) as external_click_id,
    cast(null as string) as landing_page,
    country
from {{ ref('int_click_touches') }}

-- One row per view of a page, conversion on it, and conversion that the page assisted.
with sessions as (
    select * from {{ ref('int_sessions') }}
    where not is_bot
),

projects as (
    select * from {{ ref('int_projects') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
    where is_page_view
),

views as (
    select
        page_views.seq,
        page_views.project_id,
        page_views.page_id,
        page_views.occurred_us,
        activities.person_id
    from {{ ref('int_page_views') }} as page_views
    inner join activities on page_views.seq = activities.seq
    inner join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
    where page_views.page_id is not null
),

conversions as (
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

first_views as (
    select
        person_id,
        page_id,
        min(occurred_us) as first_viewed_us
    from views
    where person_id in (select person_id from conversions)
    group by person_id, page_id
),

assisted as (
    -- Every other page that the person had seen by then; one conversion assists many, so they are not summed.
    select
        conversions.*,
        first_views.page_id as assisting_page_id
    from conversions
    inner join first_views
        on
            conversions.person_id = first_views.person_id
            and conversions.occurred_us >= first_views.first_viewed_us
            and coalesce(conversions.page_id, '') <> first_views.page_id
),

figures as (
    select
        views.project_id,
        views.person_id,
        views.seq,
        views.occurred_us,
        views.page_id,
        'view' as figure,
        projects.reporting_currency as currency,
        cast(0 as bigint) as amount_minor
    from views
    inner join projects on views.project_id = projects.project_id
    union all
    select
        project_id,
        person_id,
        seq,
        occurred_us,
        page_id,
        'conversion' as figure,
        currency,
        net_amount_minor as amount_minor
    from conversions
    where page_id is not null
    union all
    select
        project_id,
        person_id,
        seq,
        occurred_us,
        assisting_page_id as page_id,
        'assisted_conversion' as figure,
        currency,
        net_amount_minor as amount_minor
    from assisted
)

-- Not added up here: hardly anybody views a page twice on a day.
select
    figures.seq,
    figures.page_id,
    figures.figure,
    figures.project_id,
    figures.person_id,
    {{ project_date('figures.occurred_us', 'projects.time_zone') }} as report_date,
    figures.currency,
    figures.amount_minor
from figures
inner join projects on figures.project_id = projects.project_id

-- One row per person, day, page and currency: views of the page, conversions on it, and those it assisted.
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
        page_views.project_id,
        page_views.page_id,
        page_views.occurred_us,
        activities.person_id
    from {{ ref('int_page_views') }} as page_views
    inner join activities on page_views.seq = activities.seq
    inner join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
    where page_views.page_id is not null
),

first_views as (
    select
        person_id,
        page_id,
        min(occurred_us) as first_viewed_us
    from views
    group by person_id, page_id
),

conversions as (
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
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
        views.occurred_us,
        views.page_id,
        projects.reporting_currency as currency,
        views.person_id,
        1 as views,
        0 as conversions,
        0 as net_amount_minor,
        0 as assisted_conversions,
        0 as assisted_amount_minor
    from views
    inner join projects on views.project_id = projects.project_id
    union all
    select
        project_id,
        occurred_us,
        page_id,
        currency,
        person_id,
        0 as views,
        1 as conversions,
        net_amount_minor,
        0 as assisted_conversions,
        0 as assisted_amount_minor
    from conversions
    where page_id is not null
    union all
    select
        project_id,
        occurred_us,
        assisting_page_id as page_id,
        currency,
        person_id,
        0 as views,
        0 as conversions,
        0 as net_amount_minor,
        1 as assisted_conversions,
        net_amount_minor as assisted_amount_minor
    from assisted
),

dated as (
    select
        figures.*,
        {{ project_date('figures.occurred_us', 'projects.time_zone') }} as report_date
    from figures
    inner join projects on figures.project_id = projects.project_id
)

select
    project_id,
    person_id,
    report_date,
    page_id,
    currency,
    cast(sum(views) as bigint) as views,
    cast(sum(conversions) as bigint) as conversions,
    cast(sum(net_amount_minor) as bigint) as net_amount_minor,
    cast(sum(assisted_conversions) as bigint) as assisted_conversions,
    cast(sum(assisted_amount_minor) as bigint) as assisted_amount_minor
from dated
group by project_id, person_id, report_date, page_id, currency

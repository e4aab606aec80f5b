-- One row per view of a page, conversion on it, and conversion that the page assisted.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with projects as (
    select * from {{ ref('int_projects') }}
),

views as (
    select * from {{ ref('int_page_views_counted') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

dated as (
    select
        conversions.*,
        projects.reporting_currency,
        projects.rates_of,
        {{ project_date('conversions.occurred_us', 'projects.time_zone') }} as conversion_date
    from {{ ref('int_conversions') }} as conversions
    inner join projects on conversions.project_id = projects.project_id
    where conversions.state <> 'rejected'
),

conversions as (
    select
        dated.*,
        cast({{ reporting_minor(
            'dated.net_amount_minor', 'dated.currency', 'dated.reporting_currency', 'rates'
        ) }} as bigint) as reporting_net_amount_minor
    from dated
    left join rates
        on
            {{ is_rate_of(
                'rates', 'dated.currency', 'dated.reporting_currency', 'dated.conversion_date'
            ) }}
            and rates.rates_of = dated.rates_of
),

assisted as (
    select
        conversions.*,
        page_assists.page_id as assisting_page_id
    from {{ ref('int_page_assists') }} as page_assists
    inner join conversions on page_assists.conversion_id = conversions.conversion_id
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
        cast(0 as bigint) as amount_minor,
        cast(0 as bigint) as reporting_amount_minor
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
        net_amount_minor as amount_minor,
        reporting_net_amount_minor as reporting_amount_minor
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
        net_amount_minor as amount_minor,
        reporting_net_amount_minor as reporting_amount_minor
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
    figures.amount_minor,
    projects.reporting_currency,
    figures.reporting_amount_minor
from figures
inner join projects on figures.project_id = projects.project_id

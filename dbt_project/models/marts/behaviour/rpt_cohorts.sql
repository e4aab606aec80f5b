-- One row per project, week in which people were first seen, weeks since then, and currency: who returned.
with sessions as (
    select
        *,
        {{ week_start('session_date') }} as week
    from {{ ref('fct_sessions') }}
    where not is_bot
),

conversions as (
    select
        *,
        {{ week_start('conversion_date') }} as week
    from {{ ref('fct_conversions') }}
    where state <> 'rejected'
),

projects as (
    select * from {{ ref('int_projects') }}
),

acts as (
    select
        project_id,
        person_id,
        week,
        1 as has_session,
        0 as has_conversion
    from sessions
    union all
    select
        project_id,
        person_id,
        week,
        0 as has_session,
        1 as has_conversion
    from conversions
),

people as (
    select
        project_id,
        person_id,
        min(week) as cohort_week
    from acts
    group by project_id, person_id
),

cohorts as (
    select
        project_id,
        cohort_week,
        count(*) as people
    from people
    group by project_id, cohort_week
),

person_weeks as (
    select
        acts.project_id,
        people.cohort_week,
        acts.person_id,
        acts.week,
        max(acts.has_session) as has_session,
        max(acts.has_conversion) as has_conversion
    from acts
    inner join people on acts.project_id = people.project_id and acts.person_id = people.person_id
    group by acts.project_id, people.cohort_week, acts.person_id, acts.week
),

active as (
    select
        project_id,
        cohort_week,
        {{ days_between('cohort_week', 'week') }} as days,
        sum(has_session) as returned,
        sum(has_conversion) as converted
    from person_weeks
    group by project_id, cohort_week, week
),

money as (
    select
        conversions.project_id,
        people.cohort_week,
        {{ days_between('people.cohort_week', 'conversions.week') }} as days,
        conversions.currency,
        count(*) as conversions,
        {{ sum_exact('conversions.net_amount_minor') }} as net_amount_minor,
        conversions.reporting_currency,
        {{ sum_exact('conversions.reporting_net_amount_minor') }} as reporting_net_amount_minor
    from conversions
    inner join people
        on conversions.project_id = people.project_id and conversions.person_id = people.person_id
    group by
        conversions.project_id,
        people.cohort_week,
        conversions.week,
        conversions.currency,
        conversions.reporting_currency
),

arrivals as (
    select
        project_id,
        max(received_us) as received_us
    from {{ ref('int_events') }}
    group by project_id
),

weeks as (
    select
        project_id,
        week
    from acts
    union all
    select
        arrivals.project_id,
        {{ week_start(project_date('arrivals.received_us', 'projects.time_zone')) }} as week
    from arrivals
    inner join projects on arrivals.project_id = projects.project_id
),

last_weeks as (
    -- How far time has come, the project's record says, not a clock.
    select
        project_id,
        max(week) as week
    from weeks
    group by project_id
),

digits as (
    {% for digit in range(10) %}
    select {{ digit }} as digit
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

week_numbers as (
    -- 0 to 9999: more weeks than there can be between two times that are taken.
    select
        cast(ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit as bigint)
            as week_number
    from digits as ones
    cross join digits as tens
    cross join digits as hundreds
    cross join digits as thousands
),

elapsed as (
    -- A week in which nobody came is a row too.
    select
        cohorts.project_id,
        cohorts.cohort_week,
        week_numbers.week_number,
        cohorts.people
    from cohorts
    inner join last_weeks on cohorts.project_id = last_weeks.project_id
    inner join week_numbers
        on {{ days_between('cohorts.cohort_week', 'last_weeks.week') }} >= week_numbers.week_number * 7
),

figures as (
    -- People count on the row of the project's own currency.
    select
        elapsed.project_id,
        elapsed.cohort_week,
        elapsed.week_number,
        projects.reporting_currency as currency,
        elapsed.people,
        coalesce(active.returned, 0) as returned,
        coalesce(active.converted, 0) as converted,
        0 as conversions,
        0 as net_amount_minor,
        projects.reporting_currency,
        cast(null as decimal(38, 0)) as reporting_net_amount_minor
    from elapsed
    inner join projects on elapsed.project_id = projects.project_id
    left join active
        on
            elapsed.project_id = active.project_id
            and elapsed.cohort_week = active.cohort_week
            and elapsed.week_number * 7 = active.days
    union all
    select
        elapsed.project_id,
        elapsed.cohort_week,
        elapsed.week_number,
        money.currency,
        0 as people,
        0 as returned,
        0 as converted,
        money.conversions,
        money.net_amount_minor,
        money.reporting_currency,
        money.reporting_net_amount_minor
    from elapsed
    inner join money
        on
            elapsed.project_id = money.project_id
            and elapsed.cohort_week = money.cohort_week
            and elapsed.week_number * 7 = money.days
)

select
    project_id,
    cohort_week,
    week_number,
    currency,
    cast(sum(people) as bigint) as people,
    cast(sum(returned) as bigint) as returned,
    cast(sum(converted) as bigint) as converted,
    cast(sum(conversions) as bigint) as conversions,
    cast({{ sum_exact('net_amount_minor') }} as decimal(38, 0)) as net_amount_minor,
    reporting_currency,
    {{ reporting_sum('reporting_net_amount_minor', 'net_amount_minor') }} as reporting_net_amount_minor
from figures
group by project_id, cohort_week, week_number, currency, reporting_currency

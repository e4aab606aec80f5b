-- One row per conversion with an amount for when no report has one: its page's payout, else its goal's value.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
    where state <> 'refunded'
),

pages as (
    select * from {{ ref('int_conversion_pages') }}
    where payout_minor is not null
),

defined_pages as (
    select * from {{ ref('int_pages') }}
),

fired as (
    -- A click leaves its page: one that is neither lander nor offer pays for none.
    select distinct conversion_id from reports
    where dialect = 'links'
),

payouts as (
    select
        pages.conversion_id,
        pages.payout_minor,
        pages.payout_currency
    from pages
    left join fired on pages.conversion_id = fired.conversion_id
    left join defined_pages
        on pages.project_id = defined_pages.project_id and pages.page_id = defined_pages.page_id
    where fired.conversion_id is null or defined_pages.page_kind in ('lander', 'offer')
),

numbered as (
    select
        conversion_id,
        goal_value_minor,
        goal_value_currency,
        row_number() over (partition by conversion_id order by occurred_us, seq) as value_number
    from reports
    where is_deciding and goal_value_minor is not null
),

goal_values as (
    select * from numbered
    where value_number = 1
)

select
    coalesce(payouts.conversion_id, goal_values.conversion_id) as conversion_id,
    coalesce(payouts.payout_minor, goal_values.goal_value_minor) as amount_minor,
    case
        when payouts.conversion_id is null then goal_values.goal_value_currency
        else payouts.payout_currency
    end as currency
from payouts
full outer join goal_values on payouts.conversion_id = goal_values.conversion_id

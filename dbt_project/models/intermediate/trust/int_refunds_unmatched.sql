-- One row per refund that no sale could take, or not all of it, and why.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with refunds as (
    select * from {{ ref('int_refunds_matched') }}
),

refund_steps as (
    select * from {{ ref('int_refund_steps') }}
),

conversions as (
    select * from {{ ref('int_conversions_stated') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

numbered as (
    select
        *,
        row_number() over (partition by refund_seq order by seq desc) as recency
    from refund_steps
)

select
    refunds.seq,
    refunds.project_id,
    people.person_id,
    refunds.occurred_us,
    refunds.currency,
    coalesce(numbered.unmatched_minor, 0) as unmatched_minor,
    case
        when refunds.conversion_id is null then 'sale_not_known'
        when refunds.currency <> conversions.currency then 'other_currency'
        else 'more_than_was_left'
    end as reason
from refunds
inner join people on refunds.seq = people.seq
left join conversions on refunds.conversion_id = conversions.conversion_id
left join numbered on refunds.seq = numbered.refund_seq and numbered.recency = 1
-- One without an amount takes what it finds: without a sale that is nothing, and nothing is left over.
where refunds.conversion_id is null or numbered.unmatched_minor <> 0

-- A refund whose sale nobody reported is subtracted in full; any other at most by its own amount.
{{ config(meta={'dagster': {'ref': {'name': 'fct_conversion_ledger'}}}) }}
with ledger as (
    select
        project_id,
        refund_event_id,
        {{ sum_exact('amount_minor') }} as amount_minor
    from {{ ref('fct_conversion_ledger') }}
    where refund_event_id is not null
    group by project_id, refund_event_id
)

select
    refunds.project_id,
    refunds.event_id,
    refunds.amount_minor,
    ledger.amount_minor as ledger_minor
from {{ ref('int_refunds_matched') }} as refunds
inner join {{ ref('int_event_people') }} as people on refunds.seq = people.seq
left join ledger on refunds.project_id = ledger.project_id and refunds.event_id = ledger.refund_event_id
where
    {{ is_among('people.person_id', ref('int_people_in_work')) }}
    and (
        (
            refunds.conversion_id is null
            and coalesce(refunds.amount_minor, 0) <> -coalesce(ledger.amount_minor, 0)
        )
        or coalesce(ledger.amount_minor, 0) > 0
        or coalesce(ledger.amount_minor, 0) < -coalesce(refunds.amount_minor, 0)
    )

-- One row per step of a conversion and refund known by then: what the refund takes, and what is left of it.
with steps as (
    select * from {{ ref('int_conversion_steps') }}
),

refunds as (
    select * from {{ ref('int_refunds_matched') }}
),

paired as (
    select
        steps.story_id,
        steps.seq,
        steps.state,
        steps.amount_minor,
        refunds.seq as refund_seq,
        refunds.occurred_us,
        refunds.amount_minor as asked_minor,
        -- Once a server reports a conversion, browsers no longer refund it either.
        refunds.is_browsers_word and steps.has_server as is_void,
        -- Of another currency nothing can be taken: no bank's rate is known here.
        steps.amount_minor is not null
        and (refunds.amount_minor is null or refunds.currency = steps.currency)
        and not (refunds.is_browsers_word and steps.has_server) as fits
    from steps
    inner join refunds on steps.story_id = refunds.story_id and steps.seq >= refunds.seq
),

asked as (
    -- Refunds take in the order in which they happened.
    select
        *,
        coalesce(sum(case when fits then asked_minor end) over (
            partition by story_id, seq
            order by occurred_us, refund_seq
            rows between unbounded preceding and 1 preceding
        ), 0) as asked_before_minor,
        coalesce(max(case when fits and asked_minor is null then 1 else 0 end) over (
            partition by story_id, seq
            order by occurred_us, refund_seq
            rows between unbounded preceding and 1 preceding
        ), 0) = 1 as is_all_taken
    from paired
),

offered as (
    select
        *,
        case
            when not fits or is_all_taken then 0
            else greatest(amount_minor - cast(asked_before_minor as bigint), 0)
        end as remaining_minor
    from asked
),

taken as (
    select
        *,
        -- Without an amount it takes all that remains.
        least(coalesce(asked_minor, remaining_minor), remaining_minor) as taken_minor
    from offered
)

select
    story_id,
    seq,
    refund_seq,
    taken_minor,
    case
        when is_void or asked_minor is null then 0
        -- Refunds of pending and rejected conversions wait.
        when fits and state <> 'approved' then 0
        else asked_minor - taken_minor
    end as unmatched_minor
from taken

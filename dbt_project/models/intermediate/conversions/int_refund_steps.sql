-- One row per refund and step that may change what it takes: what it takes, and what is left of it.
-- Those are its own, and later turns of its conversion. A conversion with too many turns is told short: each
-- refund has only what it takes today, from its own step on.
with steps as (
    select * from {{ ref('int_refunds_asked') }}
),

refunds as (
    select * from {{ ref('int_refunds_matched') }}
),

paired as (
    select
        steps.story_id,
        case when steps.is_told_short then refunds.seq else steps.seq end as seq,
        steps.seq as as_of_seq,
        steps.state,
        steps.amount_minor,
        refunds.seq as refund_seq,
        refunds.occurred_us,
        refunds.amount_minor as asked_minor,
        refunds.is_browsers_word and steps.has_server as is_void,
        coalesce(
            steps.amount_minor is not null
            and (refunds.amount_minor is null or refunds.currency = steps.currency)
            and not (refunds.is_browsers_word and steps.has_server),
            false
        ) as fits
    from steps
    inner join refunds on steps.story_id = refunds.story_id and steps.seq >= refunds.seq
    where case when steps.is_told_short then steps.is_latest else steps.is_turn end
),

asked as (
    -- Refunds take in the order in which they happened.
    select
        story_id,
        seq,
        state,
        amount_minor,
        refund_seq,
        asked_minor,
        is_void,
        fits,
        coalesce(cast({{ sum_exact("case when fits then asked_minor end") }} over (
            partition by story_id, as_of_seq
            order by occurred_us, refund_seq
            rows between unbounded preceding and 1 preceding
        ) as decimal(38, 0)), 0) as asked_before_minor,
        coalesce(max(case when fits and asked_minor is null then 1 else 0 end) over (
            partition by story_id, as_of_seq
            order by occurred_us, refund_seq
            rows between unbounded preceding and 1 preceding
        ), 0) = 1 as is_all_taken
    from paired
    union all
    -- A refund that happened after all before it finds what they left.
    select
        steps.story_id,
        steps.seq,
        steps.state,
        steps.amount_minor,
        steps.refund_seq,
        refunds.amount_minor as asked_minor,
        steps.is_void,
        steps.fits,
        steps.asked_before_minor,
        steps.is_all_asked_before as is_all_taken
    from steps
    inner join refunds on steps.refund_seq = refunds.seq
    where not steps.is_turn and not steps.is_told_short
),

offered as (
    select
        *,
        case
            when not fits or is_all_taken then 0
            else cast(greatest(amount_minor - asked_before_minor, 0) as bigint)
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

-- One row per step of what refunds belong to, a conversion or a refund alone: what those known by then take.
with refunds as (
    select * from {{ ref('int_refunds_matched') }}
),

steps as (
    select
        steps.story_id,
        steps.seq,
        steps.has_server,
        steps.state,
        steps.amount_minor,
        steps.currency,
        refunds.seq as refund_seq,
        refunds.occurred_us as refund_occurred_us,
        refunds.amount_minor as asked_minor,
        refunds.currency as refund_currency,
        refunds.is_browsers_word
    from {{ ref('int_conversion_steps') }} as steps
    left join refunds on steps.story_id = refunds.story_id and steps.seq = refunds.seq
    where steps.story_id in (select known.story_id from refunds as known)
),

by_currency as (
    -- Of another currency nothing can be taken: no bank's rate is known here. So each step looks at what was
    -- asked for in its own.
    select
        story_id,
        seq,
        refund_currency as currency,
        asked_minor,
        is_browsers_word,
        0 as is_step
    from steps
    where asked_minor is not null
    union all
    select
        story_id,
        seq,
        currency,
        cast(null as bigint) as asked_minor,
        cast(null as boolean) as is_browsers_word,
        1 as is_step
    from steps
),

added_up as (
    select
        story_id,
        seq,
        is_step,
        cast({{ sum_exact("case when not is_browsers_word then asked_minor else 0 end") }} over (
            partition by story_id, currency
            order by seq, is_step
            rows between unbounded preceding and current row
        ) as decimal(38, 0)) as asked_minor,
        cast({{ sum_exact("case when is_browsers_word then asked_minor else 0 end") }} over (
            partition by story_id, currency
            order by seq, is_step
            rows between unbounded preceding and current row
        ) as decimal(38, 0)) as asked_by_browsers_minor
    from by_currency
),

looked_back as (
    select
        steps.*,
        coalesce(added_up.asked_minor, 0)
        -- Once a server reports a conversion, browsers no longer refund it either.
        + case when steps.has_server then 0 else coalesce(added_up.asked_by_browsers_minor, 0) end
            as asked_until_minor,
        -- One without an amount takes all that remains.
        max(case
            when steps.refund_seq is null or steps.asked_minor is not null then 0
            when steps.is_browsers_word then 1
            else 2
        end) over (
            partition by steps.story_id order by steps.seq rows between unbounded preceding and current row
        ) as takes_all_until,
        max(case
            when steps.refund_seq is null or steps.asked_minor is not null then 0
            when steps.is_browsers_word then 1
            else 2
        end) over (
            partition by steps.story_id order by steps.seq rows between unbounded preceding and 1 preceding
        ) as takes_all_before,
        max(steps.refund_occurred_us) over (
            partition by steps.story_id order by steps.seq rows between unbounded preceding and 1 preceding
        ) as last_refund_us,
        lag(steps.state) over (partition by steps.story_id order by steps.seq) as state_before,
        lag(steps.amount_minor) over (partition by steps.story_id order by steps.seq) as amount_before_minor,
        lag(steps.currency) over (partition by steps.story_id order by steps.seq) as currency_before,
        lag(steps.has_server) over (partition by steps.story_id order by steps.seq) as had_server
    from steps
    inner join added_up
        on steps.story_id = added_up.story_id and steps.seq = added_up.seq and added_up.is_step = 1
),

decided as (
    select
        *,
        takes_all_until > case when has_server then 1 else 0 end as is_all_asked,
        coalesce(takes_all_before, 0) > case when has_server then 1 else 0 end as is_all_asked_before,
        refund_seq is not null and is_browsers_word and has_server as is_void,
        coalesce(
            refund_seq is not null
            and amount_minor is not null
            and (asked_minor is null or refund_currency = currency)
            and not (is_browsers_word and has_server),
            false
        ) as fits,
        -- What earlier refunds take may be another amount from here on: the conversion is worth another, or a
        -- refund arrives that happened before one of them. All others leave them what they have.
        last_refund_us is not null and (
            state is distinct from state_before
            or amount_minor is distinct from amount_before_minor
            or currency is distinct from currency_before
            or has_server is distinct from had_server
            or coalesce(refund_occurred_us < last_refund_us, false)
        ) as is_turn
    from looked_back
),

counted as (
    select
        *,
        count(case when is_turn then 1 end) over (partition by story_id) as turns,
        row_number() over (partition by story_id order by seq desc) as recency
    from decided
)

select
    story_id,
    seq,
    has_server,
    state,
    amount_minor,
    currency,
    refund_seq,
    is_void,
    fits,
    -- By the refunds before this step's own, if it is one.
    asked_until_minor - case when fits then coalesce(asked_minor, 0) else 0 end as asked_before_minor,
    is_all_asked_before,
    is_turn,
    turns > {{ work_limit('refund_turns') }} as is_told_short,
    recency = 1 as is_latest,
    cast(case
        when amount_minor is null then 0
        when is_all_asked then amount_minor
        else least(asked_until_minor, amount_minor)
    end as bigint) as taken_minor
from counted

-- One row per difference that a report made in what is recognised of a conversion or unmatched refund.
with steps as (
    select * from {{ ref('int_conversion_steps') }}
),

refunds as (
    select * from {{ ref('int_refunds_matched') }}
),

refund_steps as (
    select * from {{ ref('int_refund_steps') }}
),

refunds_asked as (
    select * from {{ ref('int_refunds_asked') }}
),

recognised as (
    select
        steps.*,
        case
            when steps.state = 'approved'
                then coalesce(steps.amount_minor - coalesce(refunds_asked.taken_minor, 0), 0)
            else 0
        end as recognised_minor
    from steps
    left join refunds_asked on steps.story_id = refunds_asked.story_id and steps.seq = refunds_asked.seq
),

compared as (
    select
        *,
        lag(recognised_minor, 1, 0) over (partition by story_id order by seq) as before_minor,
        lag(currency) over (partition by story_id order by seq) as currency_before,
        lag(state) over (partition by story_id order by seq) as state_before,
        coalesce(max(recognised_minor) over (
            partition by story_id order by seq rows between unbounded preceding and 1 preceding
        ), 0) > 0 as was_recognised
    from recognised
),

told as (
    select
        *,
        before_minor <> 0 and coalesce(currency <> currency_before, false) as is_currency_changed,
        case
            when is_refund then 'refund'
            when state = 'rejected' then 'rejection'
            when state = 'pending' then 'reversal'
            when state_before in ('pending', 'rejected') then 'approval'
            when not was_recognised then 'sale'
            else 'restatement'
        end as reason
    from compared
),

conversion_entries as (
    select
        *,
        case when before_minor <> 0 and not is_currency_changed then currency_before else currency end
            as entry_currency,
        recognised_minor - case when is_currency_changed then 0 else before_minor end as entry_minor,
        case when is_currency_changed then 'restatement' else reason end as entry_reason
    from told
    union all
    -- What was recognised in another currency is taken back in that.
    select
        *,
        currency_before as entry_currency,
        -before_minor as entry_minor,
        case when recognised_minor > 0 then 'reversal' else reason end as entry_reason
    from told
    where is_currency_changed
),

refund_differences as (
    select
        *,
        lag(unmatched_minor, 1, 0) over (partition by refund_seq order by seq) - unmatched_minor
            as entry_minor
    from refund_steps
)

select
    project_id || '/' || {{ id_part('event_id') }} || ':' || entry_currency || ':' || story_id as entry_id,
    project_id,
    story_id as conversion_id,
    cast(null as string) as refund_event_id,
    seq,
    event_id,
    received_us,
    decided_us,
    entry_reason as reason,
    cast(entry_minor as bigint) as amount_minor,
    entry_currency as currency
from conversion_entries
where entry_minor <> 0
union all
select
    steps.project_id || '/' || {{ id_part('steps.event_id') }}
    || ':' || refunds.currency
    || ':refund:' || refunds.event_id as entry_id,
    steps.project_id,
    cast(null as string) as conversion_id,
    refunds.event_id as refund_event_id,
    steps.seq,
    steps.event_id,
    steps.received_us,
    steps.decided_us,
    -- Part of it found its sale, or the sale it exceeded is no more.
    case when refund_differences.entry_minor < 0 then 'refund' else 'reversal' end as reason,
    cast(refund_differences.entry_minor as bigint) as amount_minor,
    refunds.currency
from refund_differences
inner join steps on refund_differences.story_id = steps.story_id and refund_differences.seq = steps.seq
inner join refunds on refund_differences.refund_seq = refunds.seq
where refund_differences.entry_minor <> 0

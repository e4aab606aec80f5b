-- One row per alias in force: a report that two ids are one, with no later one that takes it back.
with reports as (
    select
        seq,
        project_id,
        event_id,
        kind,
        occurred_us,
        user_id,
        previous_id,
        -- Whichever way round a pair is named; the last by arrival holds.
        max(case when kind = 'unalias' then seq else 0 end) over (
            partition by project_id, least(user_id, previous_id), greatest(user_id, previous_id)
        ) as unaliased_seq
    from {{ ref('int_events_in_work') }}
    where kind in ('alias', 'unalias') and user_id is not null and previous_id is not null
)

select
    seq,
    project_id,
    event_id,
    occurred_us,
    user_id,
    previous_id
from reports
where kind = 'alias' and seq > unaliased_seq

-- One row per report of ad spend, as it was sealed.
with sealed as (
    select * from {{ record('costs') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
)

select
    seq,
    project_id,
    received_us,
    day,

    -- what was paid
    {% for part in ['source', 'medium', 'campaign'] %}
    {{ cut_to_bytes(part, var('utm_bytes')) }} as {{ part }},
    {% endfor %}

    -- money
    amount_text,
    currency,

    -- why no rule can use it
    case
        when
            not {{ matches_pattern('day', "'^2[01][0-9]{2}-[0-9]{2}-[0-9]{2}$'") }}
            or try_cast(day as date) is null
            then 'day_unreadable'
        when not ({{ is_amount('amount_text', "'major'") }}) then 'amount_unreadable'
    end as set_aside_reason
from sealed
where filename not in (select filename from superseded)

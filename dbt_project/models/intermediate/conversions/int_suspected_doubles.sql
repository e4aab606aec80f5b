-- One row per conversion that browsers report without a transaction, and a server seems to report as well.
with conversions as (
    select
        stated.*,
        traced.person_id
    from {{ ref('int_conversions_stated') }} as stated
    inner join {{ ref('int_conversions_traced') }} as traced on stated.conversion_id = traced.conversion_id
),

told_apart as (
    select
        *,
        -- What a link fires is no order, whatever it is worth.
        not has_server_report and transaction_id is null and coalesce(dialect, '') <> 'links' as is_browsers,
        case when has_server_report and transaction_id is not null then 1 else 0 end as is_servers
    from conversions
),

{% set nearby %}
order by occurred_us
range between {{ minutes_us(var('suspected_double_minutes')) }} preceding
and {{ minutes_us(var('suspected_double_minutes')) }} following
{% endset %}
neighbours as (
    -- Not a join: a person may have very many of both.
    select
        *,
        max(is_servers) over (partition by person_id, name {{ nearby }}) = 1 as is_near_name,
        max(is_servers) over (partition by person_id, amount_minor, currency {{ nearby }}) = 1
            as is_near_money
    from told_apart
)

select conversion_id
from neighbours
where
    is_browsers
    -- Senders name the same thing differently; the same money is no coincidence.
    and (
        (name is not null and is_near_name)
        or (amount_minor is not null and currency is not null and is_near_money)
    )

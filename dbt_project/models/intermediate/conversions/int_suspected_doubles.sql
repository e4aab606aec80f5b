-- One row per conversion that browsers report without a transaction, and a server seems to report as well.
with conversions as (
    select
        stated.*,
        traced.person_id
    from {{ ref('int_conversions_stated') }} as stated
    inner join {{ ref('int_conversions_traced') }} as traced on stated.conversion_id = traced.conversion_id
),

browsers as (
    select * from conversions
    where not has_server_report and transaction_id is null
),

servers as (
    select * from conversions
    where has_server_report and transaction_id is not null
)

select browsers.conversion_id
from browsers
inner join servers
    on
        browsers.person_id = servers.person_id
        and browsers.occurred_us >= servers.occurred_us - {{ minutes_us(var('suspected_double_minutes')) }}
        and servers.occurred_us >= browsers.occurred_us - {{ minutes_us(var('suspected_double_minutes')) }}
        -- Senders name the same thing differently; the same money is no coincidence.
        and (
            browsers.name = servers.name
            or (browsers.amount_minor = servers.amount_minor and browsers.currency = servers.currency)
        )
group by browsers.conversion_id

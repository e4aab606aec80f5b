-- In every model the shares of a conversion are whole billionths that sum to one.
select
    model,
    conversion_id,
    sum(credit_nano) as credit_nano
from {{ ref('fct_attribution') }}
group by model, conversion_id
having sum(credit_nano) <> 1000000000 or min(credit_nano) < 0

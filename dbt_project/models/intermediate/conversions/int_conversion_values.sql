-- One row per conversion and set of its reports, all or the forwardable: what refunds leave of its amount.
-- Where nothing is withheld from destinations, `all` is the only set.
{% set columns = [
    'state', 'amount_minor', 'currency', 'has_server_report', 'has_withheld_report', 'approved_us', 'learnt_us'
] | join(', ') %}
with states as (
    select * from {{ ref('int_conversion_states') }}
),

matched as (
    select * from {{ ref('int_refunds_matched') }}
    where conversion_id is not null
),

withheld as (
    select distinct conversion_id from matched
    where not is_forwardable
),

stated as (
    select
        conversion_id,
        report_set,
        {{ columns }}
    from states
    union all
    -- Of some nothing but a refund is withheld.
    select
        conversion_id,
        'forwardable' as report_set,
        {{ columns }}
    from states
    where not has_withheld_report and conversion_id in (select withheld.conversion_id from withheld)
),

refunds as (
    select
        stated.conversion_id,
        stated.report_set,
        cast({{ sum_exact('coalesce(matched.amount_minor, 0)') }} as decimal(38, 0)) as asked_minor,
        max(case when matched.amount_minor is null then 1 else 0 end) = 1 as takes_all,
        max(matched.received_us) as learnt_us
    from stated
    inner join matched
        on
            stated.conversion_id = matched.conversion_id
            and (matched.amount_minor is null or stated.currency = matched.currency)
            -- What a browser says no longer counts.
            and not (matched.is_browsers_word and stated.has_server_report)
            and (stated.report_set = 'all' or matched.is_forwardable)
    group by stated.conversion_id, stated.report_set
)

select
    stated.conversion_id,
    stated.report_set,
    stated.has_server_report,
    stated.has_withheld_report,
    stated.state,
    stated.amount_minor,
    stated.currency,
    case
        when stated.amount_minor is null then 0
        when refunds.takes_all then stated.amount_minor
        else cast(least(coalesce(refunds.asked_minor, 0), stated.amount_minor) as bigint)
    end as refunded_minor,
    coalesce(
        refunds.takes_all or (refunds.asked_minor > 0 and refunds.asked_minor >= stated.amount_minor), false
    ) as is_all_refunded,
    stated.approved_us,
    greatest(stated.learnt_us, coalesce(refunds.learnt_us, stated.learnt_us)) as learnt_us
from stated
left join refunds on stated.conversion_id = refunds.conversion_id and stated.report_set = refunds.report_set

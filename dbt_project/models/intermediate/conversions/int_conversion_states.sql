-- One row per conversion and set of its reports, all or the forwardable: state and amount before refunds.
-- Where nothing is withheld from destinations, `all` is the only set.
{% set sets = [
    ('all', 'is_deciding', 'true'),
    ('forwardable', 'is_deciding_forwardable', 'is_forwardable'),
] %}
with reports as (
    select * from {{ ref('int_conversion_reports') }}
),

order_events as (
    select * from {{ ref('int_order_events') }}
),

defaults as (
    select * from {{ ref('int_conversion_defaults') }}
),

withheld as (
    select conversion_id from reports
    where not is_forwardable
    union
    select conversion_id from order_events
    where not is_forwardable
),

said as (
    {% for report_set, is_deciding, is_in_set in sets %}
    -- A report that it was refunded says nothing else: without another there is no conversion.
    select
        conversion_id,
        '{{ report_set }}' as report_set,
        seq,
        received_us,
        occurred_us,
        state,
        status,
        is_status_unknown,
        amount_minor,
        currency,
        sender = 'server' as is_servers,
        true as is_report
    from reports
    where
        {{ is_deciding }} and state <> 'refunded'
        {% if report_set != 'all' %}
        and conversion_id in (select withheld.conversion_id from withheld)
        {% endif %}
    union all
    -- What became of an order says nothing where no report made it one.
    select
        conversion_id,
        '{{ report_set }}' as report_set,
        seq,
        received_us,
        occurred_us,
        state,
        cast(null as string) as status,
        false as is_status_unknown,
        amount_minor,
        currency,
        false as is_servers,
        false as is_report
    from order_events
    where
        {{ is_in_set }}
        {% if report_set != 'all' %}
        and conversion_id in (select withheld.conversion_id from withheld)
        {% endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

first_reports as (
    select
        *,
        row_number() over (partition by conversion_id, report_set order by occurred_us, seq) as report_number
    from said
    where is_report
),

states as (
    select
        *,
        row_number() over (
            partition by conversion_id, report_set order by occurred_us desc, seq desc
        ) as recency
    from said
    where state is not null
),

amounts as (
    -- A report without an amount keeps the last one given.
    select
        *,
        row_number() over (
            partition by conversion_id, report_set order by occurred_us desc, seq desc
        ) as recency
    from said
    where amount_minor is not null
),

counts as (
    select
        conversion_id,
        report_set,
        max(case when is_servers then 1 else 0 end) = 1 as has_server_report,
        min(case when state = 'approved' then received_us end) as approved_us
    from said
    group by conversion_id, report_set
)

select
    first_report.conversion_id,
    first_report.report_set,
    first_report.seq,
    last_report.state,
    last_report.status,
    last_report.is_status_unknown,
    -- Only where no report ever gave an amount does a default count.
    coalesce(amounts.amount_minor, defaults.amount_minor) as amount_minor,
    coalesce(amounts.currency, defaults.currency, first_report.currency) as currency,
    amounts.amount_minor is null and defaults.amount_minor is not null as is_default_payout,
    counts.has_server_report,
    counts.approved_us,
    -- Whether a second set may stand beside this one.
    withheld.conversion_id is not null as has_withheld_report,
    greatest(last_report.received_us, coalesce(amounts.received_us, last_report.received_us)) as learnt_us
from first_reports as first_report
inner join states as last_report
    on
        first_report.conversion_id = last_report.conversion_id
        and first_report.report_set = last_report.report_set
        and last_report.recency = 1
inner join counts
    on first_report.conversion_id = counts.conversion_id and first_report.report_set = counts.report_set
left join amounts
    on
        first_report.conversion_id = amounts.conversion_id
        and first_report.report_set = amounts.report_set
        and amounts.recency = 1
left join withheld on first_report.conversion_id = withheld.conversion_id
left join defaults on first_report.conversion_id = defaults.conversion_id
where first_report.report_number = 1

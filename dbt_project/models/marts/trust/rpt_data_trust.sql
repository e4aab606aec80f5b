-- One row per project, day, measure and detail: how often something occurred that could skew figures.
with conversions as (
    select * from {{ ref('fct_conversions') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

costs as (
    select * from {{ ref('fct_costs') }}
),

identity_conflicts as (
    select * from {{ ref('rpt_identity_conflicts') }}
),

refunds as (
    select * from {{ ref('int_refunds_unmatched') }}
),

ledger as (
    select * from {{ ref('fct_conversion_ledger') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

limits_reached as (
    select * from {{ ref('int_limits_reached') }}
),

rules_left_out as (
    select * from {{ ref('int_rules_left_out') }}
),

measures as (
    select * from {{ ref('data_trust_measures') }}
),

conversions_measured as (
    select
        project_id,
        conversion_date as report_date,
        'conversions' as measure,
        state as detail
    from conversions
    union all
    select
        project_id,
        conversion_date as report_date,
        case when matched_by = 'none' then 'conversions_unmatched' else 'conversions_without_visit' end
            as measure,
        unmatched_reason as detail
    from conversions
    where unmatched_reason is not null
    union all
    select
        project_id,
        conversion_date as report_date,
        'unknown_status_words' as measure,
        -- Somebody's address or number, sent as a status, is not for everybody to read.
        coalesce(nullif({{ part_matching(word('status'), "'^[^0-9@]{1,40}$'", 0) }}, ''), '(no word)')
            as detail
    from conversions
    where is_status_unknown
    union all
    select
        project_id,
        conversion_date as report_date,
        'suspected_doubles' as measure,
        name as detail
    from conversions
    where is_suspected_double
    union all
    select
        project_id,
        conversion_date as report_date,
        'postback_on_other_page_kind' as measure,
        cast(null as string) as detail
    from conversions
    where has_other_page_kind
    union all
    select
        project_id,
        conversion_date as report_date,
        'default_payouts' as measure,
        page_id as detail
    from conversions
    where is_default_payout
    union all
    select
        project_id,
        conversion_date as report_date,
        'conversions_without_amount' as measure,
        name as detail
    from conversions
    where amount_minor is null and state <> 'rejected'
    union all
    select
        project_id,
        conversion_date as report_date,
        'amounts_without_rate' as measure,
        currency || ' to ' || reporting_currency as detail
    from conversions
    where reporting_net_amount_minor is null and net_amount_minor <> 0
),

others_measured as (
    select
        refunds.project_id,
        {{ project_date('refunds.occurred_us', 'projects.time_zone') }} as report_date,
        'unmatched_refunds' as measure,
        refunds.reason as detail
    from refunds
    inner join projects on refunds.project_id = projects.project_id
    union all
    -- An unmatched refund's rows are all of one day.
    select
        project_id,
        conversion_date as report_date,
        'amounts_without_rate' as measure,
        currency || ' to ' || reporting_currency as detail
    from ledger
    where conversion_id is null and reporting_amount_minor is null
    group by project_id, refund_event_id, conversion_date, currency, reporting_currency
    -- What a sale took back since is not missing anywhere.
    having {{ sum_exact('amount_minor') }} <> 0
    union all
    select
        project_id,
        cost_date as report_date,
        'costs_without_rate' as measure,
        currency || ' to ' || reporting_currency as detail
    from costs
    where reporting_amount_minor is null
    union all
    select
        project_id,
        session_date as report_date,
        'sessions' as measure,
        cast(null as string) as detail
    from sessions
    union all
    select
        project_id,
        session_date as report_date,
        'bot_sessions' as measure,
        cast(null as string) as detail
    from sessions
    where is_bot
    union all
    select
        identity_conflicts.project_id,
        {{ project_date(unix_us('identity_conflicts.last_seen_at'), 'projects.time_zone') }} as report_date,
        'identity_conflicts' as measure,
        -- Which kind of id, never the id.
        identity_conflicts.id_type || ' ' || identity_conflicts.conflict as detail
    from identity_conflicts
    inner join projects on identity_conflicts.project_id = projects.project_id
    union all
    select
        limits_reached.project_id,
        {{ project_date('limits_reached.occurred_us', 'projects.time_zone') }} as report_date,
        limits_reached.measure,
        cast(null as string) as detail
    from limits_reached
    inner join projects on limits_reached.project_id = projects.project_id
    union all
    select
        rules_left_out.project_id,
        {{ project_date('rules_left_out.defined_us', 'projects.time_zone') }} as report_date,
        'rules_left_out' as measure,
        rules_left_out.kind || ' ' || rules_left_out.key as detail
    from rules_left_out
    inner join projects on rules_left_out.project_id = projects.project_id
),

measured as (
    select * from conversions_measured
    union all
    select * from others_measured
),

counted as (
    select
        project_id,
        report_date,
        measure,
        detail,
        count(*) as occurrences
    from measured
    group by project_id, report_date, measure, detail
    union all
    select
        project_id,
        received_date as report_date,
        measure,
        detail,
        occurrences
    from {{ ref('int_arrivals_counted') }}
    union all
    select
        project_id,
        received_date as report_date,
        'unread_fields' as measure,
        name as detail,
        occurrences
    from {{ ref('int_unread_fields_counted') }}
    union all
    select
        project_id,
        click_date as report_date,
        'clicks_unrecorded' as measure,
        link_id || ' ' || reason as detail,
        occurrences
    from {{ ref('int_unrecorded_clicks_counted') }}
    union all
    select
        largest_clusters.project_id,
        {{ project_date('largest_clusters.received_us', 'projects.time_zone') }} as report_date,
        'largest_cluster' as measure,
        largest_clusters.detail,
        largest_clusters.events as occurrences
    from {{ ref('int_largest_clusters') }} as largest_clusters
    inner join projects on largest_clusters.project_id = projects.project_id
)

select
    counted.project_id,
    counted.report_date,
    counted.measure,
    counted.detail,
    measures.severity,
    measures.meaning,
    cast(counted.occurrences as bigint) as occurrences
from counted
left join measures on counted.measure = measures.measure

-- Reports show what the facts hold: sessions, conversions, money and costs, by project, converted too.
{{ config(meta={'dagster': {'ref': {'name': 'rpt_attribution'}}}) }}
{% set facts = [
    ('sessions', 'count(*)', ref('fct_sessions'), 'not is_bot'),
    ('conversions', 'count(*)', ref('fct_conversions'), "state <> 'rejected'"),
    ('money', sum_exact('net_amount_minor'), ref('fct_conversions'), "state <> 'rejected'"),
    (
        'money_on_pages',
        sum_exact('net_amount_minor'),
        ref('fct_conversions'),
        "state <> 'rejected' and page_id is not null",
    ),
    ('money_assisted', sum_exact('amount_minor'), ref('int_pages_counted'), "figure = 'assisted_conversion'"),
    (
        'money_with_touches',
        sum_exact('credited_amount_minor'),
        ref('fct_attribution'),
        "model = 'last_touch' and touch_id is not null",
    ),
    (
        'money_of_frequent_paths',
        sum_exact('net_amount_minor'),
        ref('int_conversion_paths'),
        '(project_id, path) in (select project_id, path from ' ~ ref('rpt_paths') ~ ')',
    ),
    ('money_of_goals', sum_exact('net_amount_minor'), 'goal_conversions', 'true'),
    ('converted_money', sum_exact('reporting_net_amount_minor'), ref('fct_conversions'), "state <> 'rejected'"),
    (
        'converted_money_on_pages',
        sum_exact('reporting_net_amount_minor'),
        ref('fct_conversions'),
        "state <> 'rejected' and page_id is not null",
    ),
    (
        'converted_money_assisted',
        sum_exact('reporting_amount_minor'),
        ref('int_pages_counted'),
        "figure = 'assisted_conversion'",
    ),
    (
        'converted_money_with_touches',
        sum_exact('reporting_credited_amount_minor'),
        ref('fct_attribution'),
        "model = 'last_touch' and touch_id is not null",
    ),
    (
        'converted_money_of_frequent_paths',
        sum_exact('reporting_net_amount_minor'),
        ref('int_conversion_paths'),
        '(project_id, path) in (select project_id, path from ' ~ ref('rpt_paths') ~ ')',
    ),
    ('converted_money_of_goals', sum_exact('reporting_net_amount_minor'), 'goal_conversions', 'true'),
    ('converted_costs', sum_exact('reporting_amount_minor'), ref('fct_costs'), 'true'),
    ('costs', sum_exact('amount_minor'), 'costs', 'true'),
] %}
{% set reports = [
    ('sessions', 'sum(sessions)', ref('rpt_sources'), 'true'),
    ('conversions', 'sum(conversions)', ref('rpt_sources'), 'true'),
    ('money', sum_exact('net_amount_minor'), ref('rpt_sources'), 'true'),
    ('sessions', 'sum(sessions)', ref('rpt_landing_pages'), 'true'),
    ('conversions', 'sum(conversions)', ref('rpt_landing_pages'), 'true'),
    ('money', sum_exact('net_amount_minor'), ref('rpt_landing_pages'), 'true'),
    ('conversions', 'sum(conversions)', ref('rpt_cohorts'), 'true'),
    ('money', sum_exact('net_amount_minor'), ref('rpt_cohorts'), 'true'),
    ('sessions', 'sum(sessions)', ref('rpt_traffic'), 'true'),
    ('conversions', 'sum(credit_nano) / 1000000000', ref('rpt_traffic'), 'true'),
    ('money', sum_exact('net_amount_minor'), ref('rpt_traffic'), 'true'),
    ('money', sum_exact('net_amount_minor'), ref('rpt_campaigns'), 'true'),
    ('sessions', 'sum(completions)', ref('rpt_funnel_stages'), "stage = 'clicks'"),
    ('conversions', 'sum(completions)', ref('rpt_funnel_stages'), "stage = 'conversions'"),
    ('conversions', 'sum(occurrences)', ref('rpt_data_trust'), "measure = 'conversions' and detail <> 'rejected'"),
    (
        'sessions',
        "sum(case measure when 'sessions' then occurrences else -occurrences end)",
        ref('rpt_data_trust'),
        "measure in ('sessions', 'bot_sessions')",
    ),
    ('money_on_pages', sum_exact('net_amount_minor'), ref('rpt_pages'), 'true'),
    ('money_assisted', sum_exact('assisted_amount_minor'), ref('rpt_pages'), 'true'),
    ('money_with_touches', sum_exact('net_amount_minor'), ref('rpt_time_to_convert'), 'true'),
    ('money_of_frequent_paths', sum_exact('net_amount_minor'), ref('rpt_paths'), 'true'),
    ('costs', sum_exact('amount_minor'), ref('fct_costs'), 'true'),
    ('converted_costs', sum_exact('reporting_cost_minor'), ref('rpt_campaigns'), 'true'),
    ('converted_money_on_pages', sum_exact('reporting_net_amount_minor'), ref('rpt_pages'), 'true'),
    ('converted_money_assisted', sum_exact('reporting_assisted_amount_minor'), ref('rpt_pages'), 'true'),
    ('converted_money_with_touches', sum_exact('reporting_net_amount_minor'), ref('rpt_time_to_convert'), 'true'),
    ('converted_money_of_frequent_paths', sum_exact('reporting_net_amount_minor'), ref('rpt_paths'), 'true'),
] %}
{% for report in ['rpt_sources', 'rpt_landing_pages', 'rpt_cohorts', 'rpt_traffic', 'rpt_campaigns'] %}
{% do reports.append(('converted_money', sum_exact('reporting_net_amount_minor'), ref(report), 'true')) %}
{% endfor %}
{% for model in var('attribution_models') %}
{% set is_of_model = "model = '" ~ model ~ "'" %}
{% do reports.append(('money', sum_exact('net_amount_minor'), ref('rpt_attribution'), is_of_model)) %}
{% set money = sum_exact('net_amount_minor') %}
{% do reports.append(('money_of_goals', money, ref('rpt_goal_attribution'), is_of_model)) %}
{% for figure, report in [
    ('converted_money', 'rpt_attribution'), ('converted_money_of_goals', 'rpt_goal_attribution')
] %}
{% do reports.append((figure, sum_exact('reporting_net_amount_minor'), ref(report), is_of_model)) %}
{% endfor %}
{% endfor %}
with goal_conversions as (
    -- Once for each goal that it completes.
    select
        conversions.project_id,
        conversions.net_amount_minor,
        conversions.reporting_net_amount_minor
    from {{ ref('fct_goal_completions') }} as completions
    inner join {{ ref('fct_conversions') }} as conversions
        on completions.conversion_id = conversions.conversion_id
    where conversions.state <> 'rejected'
),

cost_reports as (
    select * from {{ ref('stg_raw__costs') }}
    where set_aside_reason is null
),

latest_costs as (
    select max(seq) as seq
    from cost_reports
    group by project_id, day, source, coalesce(medium, '(none)'), campaign
),

costs as (
    select
        cost_reports.project_id,
        {{ minor_units('cost_reports.amount_text', 'coalesce(currencies.minor_per_major, 100)') }}
            as amount_minor
    from cost_reports
    inner join latest_costs on cost_reports.seq = latest_costs.seq
    left join {{ ref('currencies') }} as currencies on cost_reports.currency = currencies.currency
),

facts as (
    {% for figure, total, relation, condition in facts %}
    select
        project_id,
        '{{ figure }}' as figure,
        {{ total }} as total
    from {{ relation }}
    where {{ condition }}
    group by project_id
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

reports as (
    {% for figure, total, relation, condition in reports %}
    select
        project_id,
        '{{ figure }}' as figure,
        {{ total }} as total
    from {{ relation }}
    where {{ condition }}
    group by project_id
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    reports.project_id,
    reports.figure,
    reports.total,
    facts.total as fact_total
from reports
left join facts on reports.project_id = facts.project_id and reports.figure = facts.figure
where coalesce(reports.total, 0) <> coalesce(facts.total, 0)

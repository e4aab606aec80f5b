-- What the reports show is what the facts hold: sessions, conversions and money, by project.
{{ config(meta={'dagster': {'ref': {'name': 'rpt_attribution'}}}) }}
{% set facts = [
    ('sessions', 'count(*)', 'fct_sessions', 'not is_bot'),
    ('conversions', 'count(*)', 'fct_conversions', "state <> 'rejected'"),
    ('money', 'sum(net_amount_minor)', 'fct_conversions', "state <> 'rejected'"),
] %}
{% set reports = [
    ('sessions', 'sum(sessions)', 'rpt_sources', 'true'),
    ('conversions', 'sum(conversions)', 'rpt_sources', 'true'),
    ('money', 'sum(net_amount_minor)', 'rpt_sources', 'true'),
    ('sessions', 'sum(sessions)', 'rpt_landing_pages', 'true'),
    ('conversions', 'sum(conversions)', 'rpt_landing_pages', 'true'),
    ('money', 'sum(net_amount_minor)', 'rpt_landing_pages', 'true'),
    ('conversions', 'sum(conversions)', 'rpt_cohorts', 'true'),
    ('money', 'sum(net_amount_minor)', 'rpt_cohorts', 'true'),
    ('sessions', 'sum(sessions)', 'rpt_traffic', 'true'),
    ('conversions', 'sum(credit_nano) / 1000000000', 'rpt_traffic', 'true'),
    ('money', 'sum(net_amount_minor)', 'rpt_traffic', 'true'),
    ('money', 'sum(net_amount_minor)', 'rpt_campaigns', 'true'),
    ('sessions', 'sum(completions)', 'rpt_funnel_stages', "stage = 'clicks'"),
    ('conversions', 'sum(completions)', 'rpt_funnel_stages', "stage = 'conversions'"),
    ('conversions', 'sum(occurrences)', 'rpt_data_trust', "measure = 'conversions' and detail <> 'rejected'"),
    (
        'sessions',
        "sum(case measure when 'sessions' then occurrences else -occurrences end)",
        'rpt_data_trust',
        "measure in ('sessions', 'bot_sessions')",
    ),
] %}
{% for model in var('attribution_models') %}
{% do reports.append(('money', 'sum(net_amount_minor)', 'rpt_attribution', "model = '" ~ model ~ "'")) %}
{% endfor %}
with facts as (
    {% for figure, total, relation, condition in facts %}
    select
        project_id,
        '{{ figure }}' as figure,
        {{ total }} as total
    from {{ ref(relation) }}
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
    from {{ ref(relation) }}
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
where reports.total <> coalesce(facts.total, 0)

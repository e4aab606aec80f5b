-- Every person that a fact names has a row in dim_people.
{{ config(meta={'dagster': {'ref': {'name': 'dim_people'}}}) }}
with named as (
    {% for fact in [
        'sessions',
        'touches',
        'conversions',
        'conversion_reports',
        'conversion_ledger',
        'goal_completions',
        'experiment_exposures',
        'link_clicks',
        'forwardings',
        'attribution',
    ] %}
    select person_id from {{ ref('fct_' ~ fact) }}
    {% if not loop.last %}union{% endif %}
    {% endfor %}
)

select person_id from named
where person_id not in (select people.person_id from {{ ref('dim_people') }} as people)

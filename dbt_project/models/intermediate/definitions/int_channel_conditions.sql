-- One row per value with which a channel's rule compares a source, a medium or a campaign.
with rules as (
    select * from {{ ref('int_channel_rules') }}
),

listed as (
    {% for text in ['source', 'medium', 'campaign'] %}
    select
        project_id,
        rule_number,
        '{{ text }}' as compared,
        {{ text }}_operator as operator,
        {{ json_texts(text ~ '_values') }} as said
    from rules
    where {{ text }}_operator is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

spelt as (
    select distinct
        project_id,
        rule_number,
        compared,
        operator,
        {{ lower_case(trimmed('said')) }} as compared_value
    from listed
),

numbered as (
    select
        *,
        row_number() over (
            partition by project_id order by rule_number, compared, compared_value
        ) as value_number
    from spelt
    where compared_value <> ''
)

select
    project_id,
    rule_number,
    compared,
    operator,
    compared_value,
    {{ wildcard_texts('compared_value') }}
from numbered
where value_number <= {{ var('channel_values_at_most') }}

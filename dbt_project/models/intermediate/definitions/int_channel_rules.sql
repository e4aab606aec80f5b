-- One row per project and rule that names a channel: its own where it has defined any, else those shipped.
{% set texts = ['source', 'medium', 'campaign'] %}
with projects as (
    select project_id from {{ ref('int_projects') }}
),

shipped as (
    select * from {{ ref('channel_rules') }}
),

numbers as (
    select {{ each_number_below(var('channel_rules_at_most')) }} as number
),

listed as (
    select
        definitions.project_id,
        cast(numbers.number + 1 as bigint) as rule_number,
        {{ json_item(json_value('definitions.body', "'rules'"), 'numbers.number') }} as rule
    from {{ ref('int_definitions') }} as definitions
    cross join numbers
    where definitions.kind = 'channels' and not definitions.is_deleted
),

own as (
    select * from listed
    where rule is not null
),

defining as (
    select distinct project_id from own
),

read as (
    select
        project_id,
        rule_number,
        {{ json_value('rule', "'channel'") }} as channel,
        {% for text in texts %}
        {{ json_part('rule', "'" ~ text ~ "'") }} as {{ text }}_condition,
        {% endfor %}
        {{ json_value('rule', "'click_id_type'") }} as click_id_type,
        {{ json_value('rule', "'is_paid'") }} as is_paid
    from own
)

select
    project_id,
    rule_number,
    channel,
    {% for text in texts %}
    {{ json_value(text ~ '_condition', "'operator'") }} as {{ text }}_operator,
    {{ json_value(text ~ '_condition', "'values'") }} as {{ text }}_values,
    {% endfor %}
    click_id_type,
    case is_paid when 'true' then true when 'false' then false end as is_paid
from read
union all
select
    projects.project_id,
    shipped.rule_number,
    shipped.channel,
    {% for text in texts %}
    shipped.{{ text }}_operator,
    {{ json_array_of_parts('shipped.' ~ text ~ '_values') }} as {{ text }}_values,
    {% endfor %}
    shipped.click_id_type,
    shipped.is_paid
from projects
cross join shipped
left join defining on projects.project_id = defining.project_id
where defining.project_id is null

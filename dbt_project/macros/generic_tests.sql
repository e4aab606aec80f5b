{#
  The columns together name a row; nulls compare equal. None of `never_null` is null: those of the key, unless it says
  otherwise. One test of both, since each test costs a build what a small model does.
#}
{% test keyed_by(model, columns, never_null=none) %}
{% set key, filled = columns | join(', '), columns if never_null is none else never_null %}
select
    {{ key }},
    count(*) as row_count
from {{ model }}
{% if is_incremental_build() %}{{ where_replaced(model, columns) }}{% endif %}
group by {{ key }}
having count(*) > 1{% for column in filled %} or count({{ column }}) < count(*){% endfor %}
{% endtest %}

{# Of a table that stays, rows that were replaced and those with their keys: builds before have tested all others. #}
{% macro where_replaced(model, columns) %}
{% set kept = graph.nodes.values() | selectattr('alias', 'equalto', model.identifier) | map(attribute='config') | first %}
{% if kept.get('replaces') %}
{% set key, condition = columns | join(', '), replaced_rows(kept) %}
where {{ condition }}{% if kept.get('kept_by') not in columns %} or ({{ key }}) in (select {{ key }} from {{ model }} where {{ condition }}){% endif %}
{% endif %}
{% endmacro %}

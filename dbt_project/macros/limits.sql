{# How much of something one project's events and definitions may be: a number of the seed `work_limits`. #}
{% macro work_limit(limit_name) -%}
(select max(work_limits.allowed) from {{ ref('work_limits') }} as work_limits where work_limits.limit_name = '{{ limit_name }}')
{%- endmacro %}

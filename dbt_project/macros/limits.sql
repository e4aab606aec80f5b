{# How much of something one project's events and definitions may be: a number of the seed `work_limits`. #}
{% macro work_limit(limit_name) -%}
(select max(work_limits.allowed) from {{ ref('work_limits') }} as work_limits where work_limits.limit_name = '{{ limit_name }}')
{%- endmacro %}

{# A row for each whole number from 0 up to one less than a count. Stands alone in a select. #}
{% macro each_number_below(count) %}{{ adapter.dispatch('each_number_below')(count) }}{% endmacro %}

{# Of a window's rows, the value of the last one, or of the first one, that has a value. `over` follows. #}
{% macro latest_known(value) %}{{ adapter.dispatch('latest_known')(value) }}{% endmacro %}

{% macro earliest_known(value) %}{{ adapter.dispatch('earliest_known')(value) }}{% endmacro %}

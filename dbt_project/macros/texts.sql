{# Texts of a group, joined in an order. All three are SQL: quote a literal. #}
{% macro joined_text(column, separator, order) %}{{ adapter.dispatch('joined_text')(column, separator, order) }}{% endmacro %}

{% macro duckdb__joined_text(column, separator, order) -%}
string_agg({{ column }}, {{ separator }} order by {{ order }})
{%- endmacro %}

{# The different values of a group, sorted, as one text. #}
{% macro joined_distinct(column, separator) %}{{ adapter.dispatch('joined_distinct')(column, separator) }}{% endmacro %}

{# Not by string_agg: there, an order of its own for each of a million groups takes four times as long. #}
{% macro duckdb__joined_distinct(column, separator) -%}
array_to_string(list_sort(list_distinct(array_agg({{ column }}))), {{ separator }})
{%- endmacro %}

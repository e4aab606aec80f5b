{# Texts of a group, joined in an order. All three are SQL: quote a literal. #}
{% macro joined_text(column, separator, order) %}{{ adapter.dispatch('joined_text')(column, separator, order) }}{% endmacro %}

{% macro duckdb__joined_text(column, separator, order) -%}
string_agg({{ column }}, {{ separator }} order by {{ order }})
{%- endmacro %}

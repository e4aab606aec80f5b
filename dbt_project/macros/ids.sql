{# One part of a composed id: `:` separates parts, so it is escaped inside them. #}
{% macro id_part(column) %}replace(replace({{ column }}, '%', '%25'), ':', '%3A'){% endmacro %}

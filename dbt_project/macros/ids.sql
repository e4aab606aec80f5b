{# One part of a composed id: `:` separates parts, so it is escaped inside them. #}
{% macro id_part(column) %}replace(replace({{ column }}, '%', '%25'), ':', '%3A'){% endmacro %}

{# SHA-256 of a text as 64 hexadecimal digits in lower case. #}
{% macro sha256_hex(text) %}{{ adapter.dispatch('sha256_hex')(text) }}{% endmacro %}

{% macro duckdb__sha256_hex(text) %}sha256({{ text }}){% endmacro %}

{# A word as seeds spell it: case and blanks don't matter. #}
{% macro word(text) %}lower(replace({{ text }}, ' ', '')){% endmacro %}

{#
  Every sealed file of a table of the permanent record. On DuckDB it says the columns itself, as the source lists them:
  one that an older file lacks is null there, and no file is opened to learn which it has: every sealing adds one.
  Where the home is is said only here: what dbt parsed then fits every home.
#}
{% macro record(table) %}{{ return(adapter.dispatch('record')(table)) }}{% endmacro %}

{# First or last position in a sealed file, by its name. #}
{% macro file_position(filename, which) -%}
cast({{ part_matching(filename, "'seq-([0-9]+)-([0-9]+)[.]parquet$'", {'first': 1, 'last': 2}[which]) }} as bigint)
{%- endmacro %}

{# Reports that came after the last publication; files that end before are not opened. In a full build all. #}
{% macro is_new_report(reports=none) -%}
{% set of = reports ~ '.' if reports else '' %}
{% if is_incremental_build() %}{{ is_new(of ~ 'seq') }} and {{ is_new(of ~ 'file_last_seq') }}{% else %}true{% endif %}
{%- endmacro %}

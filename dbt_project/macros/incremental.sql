{#
  How builds stay cheap and equal to full ones. The warehouse remembers what was published last: up to which position, and
  with which fingerprint of the project's files. A build with the same fingerprint and settings of projects is incremental:
  it works on the clusters of the events that came since (models/intermediate/clusters), and every rule runs on their events
  as if nothing else existed. In tables that stay from build to build, which say so themselves, the rows of these clusters are
  replaced. Any other build is a full one, and so is each on an engine without all this.
#}

{# Before the first model: decides, and puts down in `this_build` what this build is. #}
{% macro begin_build() %}
    {% if execute and flags.WHICH != 'test' %}
        {% do adapter.dispatch('refuse_by_hand')() %}
        {% if flags.WHICH in ('build', 'run') %}{% do adapter.dispatch('begin_build')() %}{% endif %}
    {% endif %}
{% endmacro %}

{# Whether this build works only on what something new concerns. #}
{% macro is_incremental_build() %}
    {% if not execute %}{{ return(false) }}{% endif %}
    {{ return(adapter.dispatch('is_incremental_build')()) }}
{% endmacro %}

{# Whether the last build was published: the tables are those of the publication. #}
{% macro follows_publication() %}
    {{ return(asked_once('select follows_publication from this_build')[0][0]) }}
{% endmacro %}

{# Rows that came after the last publication; in a full build all. #}
{% macro is_new(seq='seq') -%}
{% if is_incremental_build() %}{{ seq }} > {{ published_position('events') }}
{%- else %}true{% endif %}
{%- endmacro %}

{# Up to which position of a raw table, `events` or `definitions`, the last publication has read. #}
{% macro published_position(table) -%}
{% set column = {'events': 'published_position', 'definitions': 'published_definitions_position'}[table] %}
{{- asked_once('select ' ~ column ~ ' from this_build')[0][0] -}}
{%- endmacro %}

{# Rows whose column a relation lists under the same name; in a full build all. #}
{% macro is_among(column, relation) -%}
{% if is_incremental_build() -%}
{{ column }} in (select {{ column.split('.')[-1] }} from {{ relation }})
{%- else %}true{% endif %}
{%- endmacro %}

{#
  Rows of a table that stays which an incremental build makes again, as a condition. `kept` is the model's configuration:
  `replaces: new` stands for positions after the last publication, any other for the model that lists values of `kept_by`;
  `and_replaces` is a condition for further rows.
#}
{% macro replaced_rows(kept) -%}
{{ is_new(kept.get('kept_by')) if kept.get('replaces') == 'new' else is_among(kept.get('kept_by'), kept.get('replaces')) }}
{%- if kept.get('and_replaces') %} or ({{ kept.get('and_replaces') }}){% endif %}
{%- endmacro %}

{# A model's table as the build before left it: read without waiting for this build's. #}
{% macro as_before(model) %}{{ model }}{% endmacro %}

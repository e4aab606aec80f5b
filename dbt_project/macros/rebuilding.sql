{#
  How builds stay cheap and equal to full ones. The warehouse remembers what was published last: up to which
  position, and with which fingerprint of the project's files. A build with the same fingerprint and settings of
  projects only rebuilds the people whom something new concerns (models/intermediate/rebuild); any other build, and
  each on an engine without it, is a whole one. Models that stay from build to build are listed in dbt_project.yml;
  all others are small, or read only what is rebuilt.
#}

{# Before the first model: decides, and puts down in `build_scope` what this build is. #}
{% macro begin_build() %}
    {% if execute and flags.WHICH in ('build', 'run') %}{% do adapter.dispatch('begin_build')() %}{% endif %}
{% endmacro %}

{% macro default__begin_build() %}{% endmacro %}

{% macro duckdb__begin_build() %}
    {# Only now, because a profile that differs from build to build would be parsed anew each time. #}
    {% set spill = env_var('FUNNELHOUSE_BUILD_SPILL', '') %}
    {% if spill %}{% do run_query("set global max_temp_directory_size = '" ~ spill ~ "'") %}{% endif %}
    {% do run_query(
        'create table if not exists publication ('
        'fingerprint varchar, position bigint, definitions_position bigint, is_latest_build boolean)'
    ) %}
    {% set events, definitions = record('events'), record('definitions') %}
    {% set projects = load_relation(api.Relation.create(target.database, target.schema, 'int_projects')) %}
    {% set deduplicated = load_relation(
        api.Relation.create(target.database, target.schema, 'int_events_deduplicated')
    ) %}
    {% set published = run_query('select position from publication').rows %}
    {% set scoping %}
    create or replace table build_scope as
    with raw as (
        select
            '{{ env_var("FUNNELHOUSE_FINGERPRINT", "") }}' as fingerprint,
            (select coalesce(max(seq), 0) from {{ events }}) as position,
            (select coalesce(max(seq), 0) from {{ definitions }}) as definitions_position
    )

    select
        raw.*,
        publication.position as published_position,
        publication.is_latest_build as follows_publication,
        coalesce(
            not {{ flags.FULL_REFRESH }}
            and raw.fingerprint <> ''
            and publication.fingerprint = raw.fingerprint
            -- Positions only grow, unless the record was put back from a copy.
            and raw.position >= publication.position
            and raw.definitions_position >= publication.definitions_position
            and not exists (
                select 1
                from (
                    select
                        *,
                        lag(body) over (partition by project_id, kind, key order by seq) as body_before
                    from {{ definitions }}
                ) as versions
                where
                    seq > publication.definitions_position
                    {% if projects %}
                    -- Of a project that is new here nothing stands yet.
                    and project_id in (select project_id from {{ projects }})
                    {% endif %}
                    and (
                        (kind = 'settings' and body is distinct from body_before)
                        -- What page views were told apart by.
                        or (kind = 'page' and (
                            {{ json_value('body', "'kind'") }}
                            is distinct from {{ json_value('body_before', "'kind'") }}
                            or {{ json_value('body', "'path'") }}
                            is distinct from {{ json_value('body_before', "'path'") }}
                        ))
                    )
            )
            {% if deduplicated and published %}
            -- A server's report takes its event id from a browser's, which was published as the event.
            and not exists (
                select 1
                from stg_raw__events as report
                inner join {{ deduplicated }} as event
                    on event.event_key = report.project_id || '/' || report.event_id
                where
                    report.seq > {{ published[0][0] }}
                    and report.file_last_seq > {{ published[0][0] }}
                    and report.sender = 'server'
                    and report.set_aside_reason is null
                    and event.seq <= {{ published[0][0] }}
                    and event.sender = 'browser'
            )
            {% endif %}
            ,
            false
        ) as is_scoped
    from raw
    left join publication on true
    {% endset %}
    {% do run_query(scoping) %}
    {% do forget_answers() %}
    {% if is_scoped() %}
        {% if asked_once('select follows_publication from build_scope')[0][0] %}
            {# From here on the tables are not those of the publication any more. #}
            {% for model in var('compared_with_published') %}
                {% do run_query('create or replace table ' ~ model ~ '__published as from ' ~ model) %}
            {% endfor %}
            {% do run_query('update publication set is_latest_build = false') %}
        {% endif %}
    {% else %}
        {# A whole build that is broken off leaves tables of which nothing is known. #}
        {% do run_query('delete from publication') %}
    {% endif %}
    {% do adapter.commit() %}
{% endmacro %}

{# Whether this build rebuilds only what changed since the last publication. #}
{% macro is_scoped() %}
    {% if not execute %}{{ return(false) }}{% endif %}
    {{ return(adapter.dispatch('is_scoped')()) }}
{% endmacro %}

{% macro default__is_scoped() %}{{ return(false) }}{% endmacro %}

{% macro duckdb__is_scoped() %}
    {% set tables = asked_once("select count(*) from duckdb_tables() where table_name = 'build_scope'") %}
    {{ return(tables[0][0] > 0 and asked_once('select is_scoped from build_scope')[0][0]) }}
{% endmacro %}

{# Rows that came after the last publication; in a whole build all. #}
{% macro is_new(seq='seq') -%}
{% if is_scoped() %}{{ seq }} > {{ asked_once('select published_position from build_scope')[0][0] }}
{%- else %}true{% endif %}
{%- endmacro %}

{# Rows whose column, or columns, a relation lists under the same names; in a whole build all. #}
{% macro is_among(columns, relation) -%}
{% if is_scoped() -%}
({{ columns }}) in (select {% for column in columns.split(',') %}{{ column.split('.')[-1] }}{{ ', ' if not loop.last }}{% endfor %} from {{ relation }})
{%- else %}true{% endif %}
{%- endmacro %}

{#
  Rows of a kept model that this build makes anew, as a condition; in a whole build all. `kept` is the model's
  configuration: `rebuilt: new` stands for positions after the last publication, any other for the model that lists
  values of `kept_by`; `also_rebuilt` is a condition for further rows.
#}
{% macro is_rebuilt(kept) -%}
{{ is_new(kept.get('kept_by')) if kept.get('rebuilt') == 'new' else is_among(kept.get('kept_by'), kept.get('rebuilt')) }}
{%- if kept.get('also_rebuilt') %} or ({{ kept.get('also_rebuilt') }}){% endif %}
{%- endmacro %}

{# A model's table as the build before left it: read without waiting for this build's. #}
{% macro as_before(model) %}{{ model }}{% endmacro %}

{# Rows of a model that differ from those of the last publication, in either direction. #}
{% macro differing(model, columns) -%}
(select {{ columns }} from {{ ref(model) }} except select {{ columns }} from {{ model }}__published)
union
(select {{ columns }} from {{ model }}__published except select {{ columns }} from {{ ref(model) }})
{%- endmacro %}

{# Events that came since the last publication, or that link other ids than they did then. #}
{% macro events_identifying_anew(events) -%}
select seq from {{ events }}
where {{ is_new() }}
union
select seq from ({{ differing('int_hashed_ids', 'seq, id_type, id_value, conflict') }}) as hashed_ids
union
select seq from ({{ differing('int_aliases', 'seq') }}) as aliases
{%- endmacro %}

{# What reports of one order, and refunds of it, have in common: null where nothing else belongs to an event. #}
{% macro order_mark(event) -%}
case
    when {{ event }}.transaction_id is not null then 'transaction:' || {{ event }}.transaction_id
    when {{ event }}.dialect = 'funnelflux' and {{ event }}.hit_id is not null then 'hit:' || {{ event }}.hit_id
end
{%- endmacro %}

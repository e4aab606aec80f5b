{#
  A run of some models would leave the others of another build, and the next build would publish both. So only our own
  processes write a warehouse: they say which one.
#}
{% macro duckdb__refuse_by_hand() %}
    {% if env_var('FUNNELHOUSE_WAREHOUSE', '') != target.path %}
        {% do exceptions.raise_compiler_error(
            'This is the warehouse of builds, which `funnelhouse build` alone writes. To try an edit: `funnelhouse dev`, '
            'then `funnelhouse dbt ' ~ flags.WHICH ~ ' …`. Nothing was changed.'
        ) %}
    {% endif %}
{% endmacro %}

{% macro duckdb__begin_build() %}
    {# Only now, because a profile that differs from build to build would be parsed anew each time. #}
    {% set spill = env_var('FUNNELHOUSE_BUILD_SPILL', '') %}
    {% if spill %}{% do run_query("set global max_temp_directory_size = '" ~ spill ~ "'") %}{% endif %}
    {% do run_query(
        'create table if not exists publication ('
        'fingerprint varchar, position bigint, definitions_position bigint, is_latest_build boolean)'
    ) %}
    {# Warehouses of older versions lack it. #}
    {% do run_query('alter table publication add column if not exists build_id varchar') %}
    {% set events, definitions = record('events'), record('definitions') %}
    {% set projects = load_relation(api.Relation.create(target.database, target.schema, 'int_projects')) %}
    {% set deciding %}
    create or replace table this_build as
    with raw as (
        select
            '{{ env_var("FUNNELHOUSE_FINGERPRINT", "") }}' as fingerprint,
            (select coalesce(max(seq), 0) from {{ events }}) as position,
            (select coalesce(max(seq), 0) from {{ definitions }}) as definitions_position
    )

    select
        raw.*,
        publication.position as published_position,
        publication.definitions_position as published_definitions_position,
        publication.is_latest_build as follows_publication,
        publication.build_id as published_build_id,
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
                        -- Where click ids were read.
                        or (kind = 'traffic_source' and body is distinct from body_before and coalesce(
                            {{ json_value('body', "'click_id_param'") }},
                            {{ json_value('body_before', "'click_id_param'") }}
                        ) is not null)
                    )
            ),
            false
        ) as is_incremental
    from raw
    left join publication on true
    {% endset %}
    {% do run_query(deciding) %}
    {% do forget_answers() %}
    {% if is_incremental_build() %}
        {% if follows_publication() %}
            {# From here on the tables are not those of the publication any more. #}
            {% do run_query('update publication set is_latest_build = false') %}
        {% endif %}
    {% else %}
        {# A full build that is broken off leaves tables of which nothing is known. #}
        {% do run_query('delete from publication') %}
        {% do drop_what_nothing_makes() %}
    {% endif %}
    {% do adapter.commit() %}
{% endmacro %}

{# Models that were renamed or deleted leave tables as large as the events. #}
{% macro drop_what_nothing_makes() %}
    {% set made = ['this_build', 'publication'] + graph.nodes.values() | map(attribute='alias') | list %}
    {% set standing = "select table_name, table_type from information_schema.tables where table_schema = '" ~ target.schema ~ "'" %}
    {% for name, type in run_query(standing).rows if name not in made %}
        {% do run_query('drop ' ~ ('view' if type == 'VIEW' else 'table') ~ ' ' ~ adapter.quote(name)) %}
    {% endfor %}
{% endmacro %}

{% macro duckdb__is_incremental_build() %}
    {% set tables = asked_once("select count(*) from duckdb_tables() where table_name = 'this_build'") %}
    {{ return(tables[0][0] > 0 and asked_once('select is_incremental from this_build')[0][0]) }}
{% endmacro %}

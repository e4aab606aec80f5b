-- One row per event that an incremental build works on: all of each cluster to which something came.
{% set nodes, events = ref('int_cluster_nodes'), ref('int_events') %}
{% set displaced, redefined = ref('int_events_displaced'), ref('int_projects_redefined') %}
{% if is_incremental_build() %}
with projects as (
    -- A definition speaks of all events of its project; so does a spelling that another one takes over.
    select project_id from {{ redefined }}
    union
    select project_id from {{ displaced }}
    where kind = 'visit'
)

select seq from {{ events }}
where {{ is_new() }} or project_id in (select projects.project_id from projects)
union
select seq from {{ as_before('int_event_clusters') }}
where not {{ is_new() }} and cluster_id in (select nodes.node from {{ nodes }} as nodes)
{% else %}
select cast(null as bigint) as seq
where false
{% endif %}

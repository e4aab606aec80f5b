-- One row per event: its cluster, which is all events that any key connects, named by the first of them.
{{ config(materialized='incremental', kept_by='seq', replaces='int_work') }}
{% set nodes, components = ref('int_cluster_nodes'), ref('int_cluster_components') %}
{% set work = ref('int_work') %}
with homes as (
    select
        seq,
        min(node) as node
    from {{ nodes }}
    group by seq
),

placed as (
    -- An event without any key is alone.
    select
        events.seq,
        coalesce(homes.node, events.seq) as node
    from {{ ref('int_events') }} as events
    left join homes on events.seq = homes.seq
    where {{ is_new('events.seq') }}
    {% if is_incremental_build() %}
    union all
    select
        seq,
        cluster_id as node
    from {{ as_before('int_event_clusters') }}
    where not {{ is_new() }} and seq in (select seq from {{ work }})
    {% endif %}
)

select
    placed.seq,
    coalesce(components.component, placed.node) as cluster_id
from placed
left join {{ components }} as components on placed.node = components.node

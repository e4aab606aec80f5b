-- One row per published event from which a server's report that came since takes its event id.
{{ config(materialized='gathered') }}
{% set ids = [
    'seq', 'project_id', 'event_id', 'kind', 'visitor_id', 'user_id', 'previous_id', 'session_id', 'click_id_type',
    'click_id'
] %}
{% set reports = ref('stg_raw__events') %}
{% if is_incremental_build() %}
select distinct
    earlier.event_key,
    earlier.first_seq,
    earlier.{{ ids | join(', earlier.') }}
from {{ as_before('int_events') }} as earlier
inner join {{ reports }} as reports
    on earlier.event_key = reports.project_id || '/' || reports.event_id
where
    earlier.sender <> 'server'
    and not {{ is_new('earlier.seq') }}
    and reports.sender = 'server'
    and reports.set_aside_reason is null
    and {{ is_new_report('reports') }}
{% else %}
select
    event_id as event_key,
    seq as first_seq,
    {{ ids | join(', ') }}
from {{ reports }}
where false
{% endif %}

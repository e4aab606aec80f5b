-- One row per report that no rule can use, with the reason: it is left out, and the build goes on.
{{ config(materialized='incremental', kept_by='seq', replaces='new') }}
select
    seq,
    project_id,
    dialect,
    received_us,
    set_aside_reason as reason
from {{ ref('stg_raw__events') }}
where set_aside_reason is not null and {{ is_new_report() }}

-- One row per funnel in which events follow each other, event, and step that it may take.
with funnels as (
    select * from {{ ref('int_funnel_steps') }}
    where step_number = 1 and mode <> 'counts'
),

conversion_reports as (
    select seq from {{ ref('int_events_counted') }}
    where conversion_id is not null
)

-- What lies in no session is in no funnel that counts sessions.
{% for unit in ['person', 'session'] %}
select
    matched.funnel_number,
    matched.step_number,
    events.{{ unit }}_id as unit_id,
    events.step_us as occurred_us,
    events.step_seq as seq
from {{ ref('int_funnel_steps_matched') }} as matched
inner join {{ ref('int_events_counted') }} as events on matched.seq = events.seq
where
    events.conversion_id is null
    and events.{{ unit }}_id is not null
    and matched.funnel_number in (
        select funnel_number from funnels
        where unit = '{{ unit }}'
    )
union all
-- Of a conversion's reports one takes the step. To compare all other events too would cost a third more.
select distinct
    matched.funnel_number,
    matched.step_number,
    events.{{ unit }}_id as unit_id,
    events.step_us as occurred_us,
    events.step_seq as seq
from {{ ref('int_funnel_steps_matched') }} as matched
inner join {{ ref('int_events_counted') }} as events on matched.seq = events.seq
where
    matched.seq in (select seq from conversion_reports)
    and events.{{ unit }}_id is not null
    and matched.funnel_number in (
        select funnel_number from funnels
        where unit = '{{ unit }}'
    )
{% if not loop.last %}union all{% endif %}
{% endfor %}

-- One row per event that a definition changed since the last publication says something about, or said.
-- Only a build of what is new compares rules: depends_on {{ ref('work_limits') }}.
{% set events, page_views = ref('int_events_deduplicated'), ref('int_page_views_classified') %}
{% set rule = [
    'match_type', 'match_operator', 'match_value', 'property_key', 'property_value', 'minimum_amount'
] %}
{% set paths = rule_paths('match_value') %}
{% set goals = ref('int_goals') %}
{% set goal_columns = ['goal_id', 'counts_as_conversion', 'is_micro', 'stage'] + rule %}
{% set changed_goals = differing('int_goals', 'project_id, ' ~ goal_columns | join(', ')) %}
{% set funnel_steps = ref('int_funnel_steps') %}
{% set funnel_columns = ['funnel_id', 'mode', 'unit', 'window_us', 'step_number'] + rule %}
{% set changed_steps = differing('int_funnel_steps', 'project_id, ' ~ funnel_columns | join(', ')) %}
{% set changed_payouts = differing(
    'int_page_payouts', 'project_id, page_id, valid_from_us, valid_until_us, amount_minor, currency'
) %}
{% if is_scoped() %}
with changed_goals as (
    select distinct
        project_id,
        goal_id
    from ({{ changed_goals }}) as changed
),

changed_funnels as (
    select distinct
        project_id,
        funnel_id
    from ({{ changed_steps }}) as changed
),

changed_pages as (
    select distinct
        project_id,
        page_id
    from ({{ changed_payouts }}) as changed
),

rules as (
    {% for side in [goals, 'int_goals__published'] %}
    select
        project_id,
        {{ rule | join(', ') }}
    from {{ side }}
    where (project_id, goal_id) in (
        select
            project_id,
            goal_id
        from changed_goals
    )
    union
    {% endfor %}
    {% for side in [funnel_steps, 'int_funnel_steps__published'] %}
    select
        project_id,
        {{ rule | join(', ') }}
    from {{ side }}
    where (project_id, funnel_id) in (
        select
            project_id,
            funnel_id
        from changed_funnels
    )
    {% if not loop.last %}union{% endif %}
    {% endfor %}
),

rules_with_paths as (
    select
        *,
        {{ paths }}
    from rules
),

events as (
    select
        events.*,
        {{ event_type('events.kind') }} as event_type,
        page_views.page_path
    from {{ events }} as events
    left join {{ page_views }} as page_views on events.seq = page_views.seq
)

select events.seq
from events
inner join rules_with_paths on events.project_id = rules_with_paths.project_id
where {{ event_rule_picks('rules_with_paths', 'events') }}
union
select seq from {{ events }}
where (project_id, goal_id) in (
    select
        project_id,
        goal_id
    from changed_goals
)
union
select seq from {{ events }}
where
    event_key in (
        select project_id || '/' || event_id from {{ as_before('fct_conversions') }}
        where (project_id, page_id) in (
            select
                project_id,
                page_id
            from changed_pages
        )
    )
{% else %}
select cast(null as bigint) as seq
where false
{% endif %}

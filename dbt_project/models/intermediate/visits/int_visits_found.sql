-- One row per report, other than a page view, that names a visit or visitor, and the page view found.
-- The first type of key that finds something wins. Senders name a visit by all but the last.
{% set page_view_keys = dict(keys_of_page_views(), visitor='visitor_id') %}
with reports as (
    select * from {{ ref('int_events_in_work') }}
    where kind <> 'visit'
),

hash_forms as (
    select * from {{ ref('hash_forms') }}
),

postback_views as (
    select * from {{ ref('int_postback_views') }}
),

named as (
    {% for key_type in ['hit', 'session', 'visitor'] %}
    select
        project_id,
        seq,
        occurred_us,
        '{{ key_type }}' as key_type,
        {{ key_type }}_id as key_value
    from reports
    where
        {{ key_type }}_id is not null
        {% if key_type == 'visitor' %}
        -- The visitor of a postback, and of a click that names its page, is looked up by rules of its own.
        and not (dialect = 'funnelflux' and sender = 'server')
        and not (dialect = 'links' and page_id is not null)
        {% endif %}
    union all
    {% endfor %}
    select
        project_id,
        seq,
        occurred_us,
        'click' as key_type,
        click_id_type || ':' || click_id as key_value
    from reports
    where click_id is not null
    union all
    select
        reports.project_id,
        reports.seq,
        reports.occurred_us,
        hash_forms.key_type,
        {{ lower_case('reports.alias_value') }} as key_value
    from reports
    inner join hash_forms on reports.alias_type = hash_forms.alias_type
),

asked_keys as (
    select distinct
        project_id,
        key_type,
        key_value
    from named
),

page_view_keys as (
    -- Only under the keys that a report asks for: most page views are never named. Each type of key reads the
    -- table: engines would keep what is read so often, with every column.
    {% for key_type, page_view_key in page_view_keys.items() %}
    select
        keyed.project_id,
        keyed.seq,
        keyed.occurred_us,
        asked_keys.key_type,
        asked_keys.key_value
    from (
        select
            project_id,
            seq,
            occurred_us,
            {{ page_view_key }} as key_value
        from {{ ref('int_page_views_in_work') }}
        where project_id in (
            select asked_keys.project_id
            from asked_keys
            where asked_keys.key_type = '{{ key_type }}'
        )
    ) as keyed
    inner join asked_keys
        on
            asked_keys.key_type = '{{ key_type }}'
            and keyed.project_id = asked_keys.project_id
            and keyed.key_value = asked_keys.key_value
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

timeline as (
    select
        *,
        true as is_report,
        cast(null as bigint) as page_view_seq
    from named
    union all
    select
        *,
        false as is_report,
        seq as page_view_seq
    from page_view_keys
),

looked_up as (
    select
        project_id,
        seq,
        key_type,
        is_report,
        {{ latest_known('page_view_seq') }} over (
            partition by project_id, key_type, key_value
            order by occurred_us, is_report, seq
            rows between unbounded preceding and current row
        ) as latest_before,
        {{ earliest_known('page_view_seq') }} over (
            partition by project_id, key_type, key_value
            order by occurred_us, is_report, seq
            rows between current row and unbounded following
        ) as earliest_after
    from timeline
),

found as (
    -- The latest page view at or before the report; where there is none, the earliest after it. But an ad
    -- click that comes later did not bring this report.
    select
        seq,
        key_type,
        case
            when key_type = 'click' then latest_before
            else coalesce(latest_before, earliest_after)
        end as page_view_seq,
        case
            when coalesce(latest_before, earliest_after) is null then 'not_seen'
            when key_type = 'click' and latest_before is null then 'clicked_later'
        end as unmatched_reason
    from looked_up
    where is_report
    union all
    select
        seq,
        case when is_click then 'page' else 'postback' end as key_type,
        page_view_seq,
        unmatched_reason
    from postback_views
),

ranked as (
    select
        *,
        row_number() over (
            partition by seq
            order by
                case when page_view_seq is null then 1 else 0 end,
                case key_type
                    -- A page that reports in the postbacks' dialect means its visitor's latest offer,
                    -- though it names its session too; on a site without offers that is what counts.
                    when 'postback' then 0
                    when 'hit' then 1
                    -- The page that a click left, by its visitor.
                    when 'page' then 2
                    {% for key_type in page_view_keys if key_type != 'hit' %}
                    when '{{ key_type }}' then {{ loop.index + 2 }}
                    {% endfor %}
                end
        ) as preference
    from found
)

select
    seq,
    page_view_seq,
    case
        when page_view_seq is null then null
        when key_type in ('hit', 'session', 'click', 'visitor') then key_type
        when key_type in ('postback', 'page') then 'visitor'
        else 'hash'
    end as matched_by,
    page_view_seq is not null and key_type not in ('visitor', 'postback', 'page') as is_named,
    unmatched_reason
from ranked
where preference = 1

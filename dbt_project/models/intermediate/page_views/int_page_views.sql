-- One row per page view, with the origin that it names itself: UTM, else click id, else referrer, else none.
{{ config(materialized='incremental', kept_by='seq', replaces='new') }}
{% set parts = ['source', 'medium', 'campaign', 'term', 'content'] %}
{% set networks_click_id -%}
coalesce(mediums_click.click_id, sources_click.click_id, nobodys_click.click_id)
{%- endset %}
{% set sent_parts = 'visits.sent_' ~ parts | join(', visits.sent_') %}
with visits as (
    select
        {% for part in parts %}
        {{ origin_text('utm_' ~ part, part) }} as sent_{{ part }},
        {% endfor %}
        *
    from {{ ref('int_events') }}
    where kind = 'visit' and {{ is_new() }}
),

hosts as (
    select * from {{ ref('int_hosts') }}
),

host_domains as (
    select * from {{ ref('int_host_domains') }}
),

own_hosts as (
    select * from {{ ref('int_own_hosts') }}
),

user_agents as (
    select * from {{ ref('int_user_agents') }}
),

click_id_types as (
    -- That of any traffic source has no source of its own.
    select
        click_id_type,
        precedence,
        is_always_paid,
        nullif(source, '') as source,
        nullif(medium, '') as medium
    from {{ ref('click_id_types') }}
),

pages as (
    select * from {{ ref('int_pages') }}
),

pages_owning_paths as (
    select * from pages
    where owns_path
),

networks_clicks as (
    -- Each traffic source may have a parameter of its own for its click ids.
    select
        visits.seq,
        traffic_sources.source,
        traffic_sources.medium,
        {{ within_bytes(
            url_parameter('visits.url', 'traffic_sources.click_id_param'), var('click_id_bytes')
        ) }} as click_id,
        row_number() over (
            partition by visits.seq order by traffic_sources.source, traffic_sources.medium nulls last
        ) as click_number
    from {{ ref('int_events') }} as visits
    inner join {{ ref('int_traffic_sources') }} as traffic_sources
        on
            visits.project_id = traffic_sources.project_id
            and contains(visits.url, traffic_sources.click_id_param || '=')
    where
        visits.kind = 'visit'
        and {{ is_new('visits.seq') }}
        and {{ url_parameter('visits.url', 'traffic_sources.click_id_param') }} is not null
),

addresses as (
    -- Not from `visits`: engines would keep what is read twice, with every column.
    select url as address from {{ ref('int_events') }}
    where kind = 'visit' and {{ is_new() }}
    union
    select referrer as address from {{ ref('int_events') }}
    where kind = 'visit' and {{ is_new() }}
),

taken_apart as (
    -- Each address once: most page views share theirs.
    select
        address,
        {% for part in parts %}
        {{ origin_text(url_parameter('address', "'utm_" ~ part ~ "'"), part) }} as utm_{{ part }},
        {% endfor %}
        {{ url_origin('address') }} as origin_host,
        {{ url_host('address') }} as host,
        {{ url_parameter('address', "'external'") }} as external_click_id,
        {{ normal_path(url_path('address')) }} as page_path
    from addresses
),

carried_click_ids as (
    select
        addresses.address,
        click_id_types.click_id_type,
        click_id_types.precedence,
        {{ url_parameter('addresses.address', 'click_id_types.click_id_type') }} as click_id
    from addresses
    inner join click_id_types on contains(addresses.address, click_id_types.click_id_type || '=')
),

first_click_ids as (
    select
        *,
        row_number() over (partition by address order by precedence) as click_id_number
    from carried_click_ids
    where click_id is not null
),

links_within as (
    -- Only what a project itself was linked from, so that nothing grows with what others list.
    select distinct
        visits.project_id,
        visits.referrer
    from {{ ref('int_events') }} as visits
    inner join taken_apart on visits.referrer = taken_apart.address
    inner join host_domains on taken_apart.origin_host = host_domains.host
    inner join own_hosts on visits.project_id = own_hosts.project_id and host_domains.domain = own_hosts.host
    where visits.kind = 'visit' and {{ is_new('visits.seq') }}
),

named as (
    -- A sender that fills any UTM field speaks for all five; else the address does.
    select
        visits.*,
        pages_seen.origin_host,
        pages_seen.page_path,
        referring_pages.origin_host as referrer_origin_host,
        referring_pages.host as referrer_host,
        {% for part in parts %}
        case
            when coalesce({{ sent_parts }}) is not null then visits.sent_{{ part }}
            else pages_seen.utm_{{ part }}
        end as named_{{ part }},
        {% endfor %}
        coalesce(
            case when visits.click_id_type = 'external' then visits.click_id end,
            -- Of several ids that a sender names the column has the first.
            case
                when contains(visits.properties, '"external"')
                    then {{ within_bytes(
                        json_value('visits.properties', "'external'"), var('click_id_bytes')
                    ) }}
            end,
            pages_seen.external_click_id
        ) as named_external_click_id,
        coalesce(visits.click_id, first_click_ids.click_id) as named_click_id,
        case
            when visits.click_id is not null then visits.click_id_type
            else first_click_ids.click_id_type
        end as named_click_id_type
    from visits
    left join taken_apart as pages_seen on visits.url = pages_seen.address
    left join taken_apart as referring_pages on visits.referrer = referring_pages.address
    left join first_click_ids on visits.url = first_click_ids.address and first_click_ids.click_id_number = 1
),

linked as (
    -- The site itself, and where visitors are sent and come back from, are no source.
    select
        {% for column in ['source', 'medium', 'click_id_type'] %}
        case
            when
                coalesce(page_hosts.site, '') <> hosts.site
                and not hosts.is_passing
                and links_within.referrer is null
                then hosts.{{ column }}
        end as linking_{{ column }},
        {% endfor %}
        named.*
    from named
    left join hosts on named.referrer_origin_host = hosts.host
    left join hosts as page_hosts on named.origin_host = page_hosts.host
    left join links_within
        on named.project_id = links_within.project_id and named.referrer = links_within.referrer
),

classified as (
    select
        linked.*,
        click_id_types.is_always_paid,
        {% for column in ['source', 'medium'] %}
        -- What is on unpaid links too doesn't tell apart a group's networks; the referrer does.
        case
            when
                not click_id_types.is_always_paid
                and linked.linking_click_id_type = click_id_types.click_id_type
                then linked.linking_{{ column }}
            else click_id_types.{{ column }}
        end as click_{{ column }},
        {% endfor %}
        -- Whoever follows a link has a user agent, unless it is a program.
        coalesce(user_agents.is_bot, linked.dialect = 'links', false) or coalesce(linked.is_automated, false)
            as is_bot,
        coalesce(
            pages_by_id.page_id, {{ page_key('linked.page_id') }}, pages_by_path.page_id, linked.page_path
        ) as page,
        coalesce(linked.page_kind, pages_by_id.page_kind, pages_by_path.page_kind) as kind_of_page
    from linked
    left join click_id_types on linked.named_click_id_type = click_id_types.click_id_type
    left join user_agents on linked.user_agent = user_agents.user_agent
    left join pages as pages_by_id
        on linked.project_id = pages_by_id.project_id and linked.page_id = pages_by_id.page_id
    left join pages_owning_paths as pages_by_path
        on
            linked.project_id = pages_by_path.project_id
            -- A condition on one side alone would keep engines from hashing the join.
            and case when linked.page_id is null then linked.page_path end = pages_by_path.page_path
),

sourced as (
    -- UTM without a source takes that of the click id, else of the referrer.
    select
        *,
        coalesce(named_source, click_source, linking_source) as source,
        case
            -- A paid click says so where UTM is silent; fbclid sits on unpaid links too and does not.
            when named_source is not null
                then coalesce(named_medium, case when is_always_paid then click_medium end)
            when click_source is not null then coalesce(named_medium, click_medium)
            when linking_source is not null then coalesce(named_medium, linking_medium)
        end as medium,
        coalesce({{ 'named_' ~ parts | join(', named_') }}) is not null as has_utm
    from classified
)

select
    sourced.seq,
    sourced.project_id,
    sourced.event_key,
    sourced.occurred_us,
    sourced.hit_id,
    sourced.session_id,
    sourced.visitor_id,
    sourced.url,
    sourced.page_path,
    sourced.page as page_id,
    sourced.kind_of_page as page_kind,
    sourced.referrer_host,
    sourced.country,
    sourced.is_bot,
    case
        when sourced.source is null then 'none'
        when sourced.has_utm then 'utm'
        when sourced.click_source is not null then 'click_id'
        else 'referrer'
    end as origin,
    sourced.source,
    sourced.medium,
    sourced.named_campaign as campaign,
    sourced.named_term as term,
    sourced.named_content as content,
    coalesce(sourced.named_click_id, {{ networks_click_id }}) as click_id,
    case
        when sourced.named_click_id is not null then sourced.named_click_id_type
        when {{ networks_click_id }} is not null then 'external'
    end as click_id_type,
    coalesce(sourced.named_external_click_id, {{ networks_click_id }}) as external_click_id
from sourced
-- The parameter of the source that the view comes from; of any where no more than a referrer says which.
left join networks_clicks as mediums_click
    on
        sourced.seq = mediums_click.seq
        and sourced.source = mediums_click.source
        and sourced.medium = mediums_click.medium
left join networks_clicks as sources_click
    on
        sourced.seq = sources_click.seq
        and sourced.source = sources_click.source
        and sources_click.medium is null
left join networks_clicks as nobodys_click
    on
        sourced.seq = nobodys_click.seq
        and coalesce(sourced.named_source, sourced.click_source) is null
        and nobodys_click.click_number = 1

-- One row per page view, with the origin that it names itself: UTM, else click id, else referrer, else none.
{% set parts = ['source', 'medium', 'campaign', 'term', 'content'] %}
{% set sent_parts = 'visits.utm_' ~ parts | join(', visits.utm_') %}
with visits as (
    select * from {{ ref('int_events_deduplicated') }}
    where kind = 'visit' and {{ is_new() }}
),

hosts as (
    select * from {{ ref('int_hosts') }}
),

projects_own_hosts as (
    select distinct
        own_hosts.project_id,
        domains.host
    from {{ ref('int_own_hosts') }} as own_hosts
    inner join {{ ref('int_host_domains') }} as domains on own_hosts.host = domains.domain
),

user_agents as (
    select * from {{ ref('int_user_agents') }}
),

click_id_types as (
    select * from {{ ref('click_id_types') }}
),

pages as (
    select * from {{ ref('int_pages') }}
),

pages_owning_paths as (
    select * from pages
    where owns_path
),

addresses as (
    -- Not from `visits`: engines would keep what is read twice, with every column.
    select url as address from {{ ref('int_events_deduplicated') }}
    where kind = 'visit' and {{ is_new() }}
    union
    select referrer as address from {{ ref('int_events_deduplicated') }}
    where kind = 'visit' and {{ is_new() }}
),

taken_apart as (
    -- Each address once: most page views share theirs.
    select
        address,
        {% for part in parts %}
        {{ url_parameter('address', "'utm_" ~ part ~ "'") }} as utm_{{ part }},
        {% endfor %}
        {{ url_host('address') }} as host,
        {{ url_path('address') }} as page_path
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

named as (
    -- A sender that fills any UTM field speaks for all five; else the address does.
    select
        visits.*,
        pages_seen.host,
        pages_seen.page_path,
        referring_pages.host as referrer_host,
        {% for part in parts %}
        case
            when coalesce({{ sent_parts }}) is not null then visits.utm_{{ part }}
            else pages_seen.utm_{{ part }}
        end as said_{{ part }},
        {% endfor %}
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

spelt as (
    select
        *,
        {% for part in parts %}
        {{ ('lower(' ~ origin_part('said_' ~ part) ~ ')') if part in ['source', 'medium'] else origin_part('said_' ~ part) }}
            as named_{{ part }}{{ ',' if not loop.last }}
        {% endfor %}
    from named
),

classified as (
    select
        spelt.*,
        coalesce(
            spelt.named_source, spelt.named_medium, spelt.named_campaign, spelt.named_term, spelt.named_content
        ) is not null as has_utm,
        click_id_types.is_always_paid,
        -- What sits on unpaid links too doesn't say which of its networks a link was on; the referrer does.
        case
            when not click_id_types.is_always_paid and referring.click_id_type = click_id_types.click_id_type
                then referring.source
            else click_id_types.source
        end as click_source,
        case
            when not click_id_types.is_always_paid and referring.click_id_type = click_id_types.click_id_type
                then referring.medium
            else click_id_types.medium
        end as click_medium,
        -- The site itself, and where visitors are sent and come back from, are no source.
        case
            when
                referring.site is distinct from page_hosts.site
                and not referring.is_passing
                and projects_own_hosts.host is null
                then referring.source
        end as referrer_source,
        referring.medium as referrer_medium,
        coalesce(user_agents.is_bot, false) as is_bot,
        coalesce(spelt.page_id, pages_by_path.page_id, spelt.page_path) as page,
        coalesce(spelt.page_kind, pages_by_id.page_kind, pages_by_path.page_kind) as kind_of_page
    from spelt
    left join click_id_types on spelt.named_click_id_type = click_id_types.click_id_type
    left join hosts as referring on spelt.referrer_host = referring.host
    left join hosts as page_hosts on spelt.host = page_hosts.host
    left join projects_own_hosts
        on spelt.project_id = projects_own_hosts.project_id and spelt.referrer_host = projects_own_hosts.host
    left join user_agents on spelt.user_agent = user_agents.user_agent
    left join pages as pages_by_id
        on spelt.project_id = pages_by_id.project_id and spelt.page_id = pages_by_id.page_id
    left join pages_owning_paths as pages_by_path
        on
            spelt.project_id = pages_by_path.project_id
            -- A condition on one side alone would keep engines from hashing the join.
            and case when spelt.page_id is null then spelt.page_path end = pages_by_path.page_path
),

originating as (
    -- UTM fields without a source have that of the click id, else of the referrer.
    select
        *,
        coalesce(named_source, click_source, referrer_source) as source,
        case
            when named_source is null and coalesce(click_source, referrer_source) is null then 'none'
            when has_utm then 'utm'
            when click_source is not null then 'click_id'
            else 'referrer'
        end as origin
    from classified
)

select
    seq,
    project_id,
    event_key,
    occurred_us,
    hit_id,
    session_id,
    visitor_id,
    url,
    page_path,
    page as page_id,
    kind_of_page as page_kind,
    referrer_host,
    country,
    is_bot,
    origin,
    source,
    case
        -- A paid click says so where UTM is silent; fbclid sits on unpaid links too and does not.
        when named_source is not null then coalesce(named_medium, case when is_always_paid then click_medium end)
        when click_source is not null then coalesce(named_medium, click_medium)
        when referrer_source is not null then coalesce(named_medium, referrer_medium)
    end as medium,
    named_campaign as campaign,
    named_term as term,
    named_content as content,
    named_click_id as click_id,
    named_click_id_type as click_id_type
from originating

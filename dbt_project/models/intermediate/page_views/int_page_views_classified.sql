-- One row per page view, with the origin that it names itself: UTM, else click id, else referrer, else none.
{% set parts = ['source', 'medium', 'campaign', 'term', 'content'] %}
{% set sent_parts = 'visits.utm_' ~ parts | join(', visits.utm_') %}
with visits as (
    select * from {{ ref('int_events_deduplicated') }}
    where kind = 'visit' and {{ is_new() }}
),

referrer_hosts as (
    select * from {{ ref('int_referrer_hosts') }}
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
        end as named_{{ part }},
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

classified as (
    select
        named.*,
        click_id_types.is_always_paid,
        case
            when named.named_source is not null then 'utm'
            when click_id_types.source is not null then 'click_id'
            -- The site's own host is no source.
            when named.referrer_host <> coalesce(named.host, '') then 'referrer'
            else 'none'
        end as origin,
        click_id_types.source as click_source,
        click_id_types.medium as click_medium,
        referrer_hosts.source as referrer_source,
        referrer_hosts.medium as referrer_medium,
        coalesce(user_agents.is_bot, false) as is_bot,
        coalesce(
            pages_by_id.page_id, {{ page_key('named.page_id') }}, pages_by_path.page_id, named.page_path
        ) as page,
        coalesce(named.page_kind, pages_by_id.page_kind, pages_by_path.page_kind) as kind_of_page
    from named
    left join click_id_types on named.named_click_id_type = click_id_types.click_id_type
    left join referrer_hosts on named.referrer_host = referrer_hosts.referrer_host
    left join user_agents on named.user_agent = user_agents.user_agent
    left join pages as pages_by_id
        on named.project_id = pages_by_id.project_id and named.page_id = pages_by_id.page_id
    left join pages_owning_paths as pages_by_path
        on
            named.project_id = pages_by_path.project_id
            -- A condition on one side alone would keep engines from hashing the join.
            and case when named.page_id is null then named.page_path end = pages_by_path.page_path
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
    case origin
        when 'utm' then named_source
        when 'click_id' then click_source
        when 'referrer' then referrer_source
    end as source,
    case origin
        -- A paid click says so where UTM is silent; fbclid sits on unpaid links too and does not.
        when 'utm' then coalesce(named_medium, case when is_always_paid then click_medium end)
        when 'click_id' then click_medium
        when 'referrer' then referrer_medium
    end as medium,
    case when origin = 'utm' then named_campaign end as campaign,
    case when origin = 'utm' then named_term end as term,
    case when origin = 'utm' then named_content end as content,
    named_click_id as click_id,
    named_click_id_type as click_id_type
from classified

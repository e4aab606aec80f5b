-- One row per host that linked to a page view, with the source it stands for.
with addresses as materialized (
    -- Each address is taken apart once; without the word, engines do that to every page view's.
    select distinct referrer
    from {{ ref('int_events_deduplicated') }}
    where kind = 'visit' and referrer is not null and {{ is_new() }}
),

hosts as (
    select distinct {{ url_host('referrer') }} as referrer_host
    from addresses
),

referrers as (
    select * from {{ ref('referrers') }}
),

ranked as (
    select
        hosts.referrer_host,
        referrers.source,
        referrers.medium,
        row_number() over (
            partition by hosts.referrer_host order by referrers.precedence, referrers.host_pattern
        ) as match_number
    from hosts
    left join referrers on {{ matches_pattern('hosts.referrer_host', 'referrers.host_pattern') }}
    where hosts.referrer_host is not null
)

select
    referrer_host,
    coalesce(source, referrer_host) as source,
    coalesce(medium, 'referral') as medium
from ranked
where match_number = 1

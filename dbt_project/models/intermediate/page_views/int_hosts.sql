-- One row per host of a page or of a link to one: its site, and the source that a link from it stands for.
with domains as (
    select * from {{ ref('int_host_domains') }}
),

suffixes as (
    select * from {{ ref('public_suffixes') }}
),

referrers as (
    select * from {{ ref('referrers') }}
),

passing_hosts as (
    select * from {{ ref('passing_hosts') }}
),

ending as (
    -- The exception holds, else the longest suffix, else the last label is one.
    select
        domains.host,
        suffixes.suffix_labels,
        row_number() over (
            partition by domains.host
            order by case when suffixes.is_exception then 0 else 1 end, suffixes.suffix_labels desc
        ) as suffix_number
    from domains
    inner join suffixes on domains.domain = suffixes.domain
),

sites as (
    select
        domains.host,
        max(case when domains.labels = coalesce(ending.suffix_labels, 1) + 1 then domains.domain end) as site
    from domains
    left join ending on domains.host = ending.host and ending.suffix_number = 1
    group by domains.host
),

known as (
    select
        domains.host,
        referrers.source,
        referrers.medium,
        referrers.click_id_type,
        row_number() over (partition by domains.host order by domains.labels desc) as match_number
    from domains
    inner join referrers on domains.domain = referrers.host
    where domains.host = domains.domain or referrers.with_subdomains
),

passing as (
    select distinct domains.host
    from domains
    inner join passing_hosts on domains.domain = passing_hosts.host
)

select
    sites.host,
    -- Addresses of machines, and names without a domain, are sites of their own.
    case
        when {{ matches_pattern('sites.host', "'^[0-9.]+$'") }} then sites.host
        else coalesce(sites.site, sites.host)
    end as site,
    coalesce(known.source, sites.host) as source,
    coalesce(known.medium, 'referral') as medium,
    known.click_id_type,
    passing.host is not null as is_passing
from sites
left join known on sites.host = known.host and known.match_number = 1
left join passing on sites.host = passing.host

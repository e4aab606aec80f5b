-- One row per host of a page or of a link to one, and domain that it lies in, itself included.
with addresses as {{ materialized() }} (
    -- Each address is taken apart once; without the word, engines do that to every page view's.
    select url as address
    from {{ ref('int_events') }}
    where kind = 'visit' and url is not null and {{ is_new() }}
    union
    select referrer as address
    from {{ ref('int_events') }}
    where kind = 'visit' and referrer is not null and {{ is_new() }}
),

hosts as (
    select distinct {{ url_origin('address') }} as host
    from addresses
),

in_domains as (
    -- Apps and addresses of machines lie in none.
    select host
    from hosts
    where host not like '%/%' and host not like '[%' and not {{ matches_pattern('host', "'(^|[.])[0-9]+$'") }}
),

domains as (
    {% for labels in range(1, var('host_labels_at_most') + 1) %}
    select
        host,
        {{ part_matching('host', "'((?:[^.]+[.]){" ~ (labels - 1) ~ "}[^.]+)$'", 1) }} as domain,
        cast({{ labels }} as bigint) as labels
    from in_domains
    union
    {% endfor %}
    -- What has more labels still lies in itself.
    select
        host,
        host as domain,
        cast(length(host) - length(replace(host, '.', '')) + 1 as bigint) as labels
    from hosts
    where host is not null
)

select
    host,
    domain,
    labels
from domains
where domain <> ''

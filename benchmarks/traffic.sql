-- The reports of a slice of sessions, `reports_of_slice`, in columns of raw/events; read by traffic.py, which
-- sets the variables. A row's `payload_number` tells the reports of one event id apart.
set variable first_session = 0;
set variable end_session = 0;
set variable sessions_per_day = 1;
set variable first_day_us = 0;

-- Random numbers: the hash of a number and a word; `uniform` in [0, 1), `zipf` in [1, n) with weights 1/rank.
create macro random_of(n, word) as hash(xor(cast(n as ubigint), hash(word || '{seed}')));
create macro uniform(n, word) as (random_of(n, word) >> 11) / 9007199254740992.0;
create macro zipf(n, word, ranks) as cast(floor(pow(ranks, uniform(n, word))) as bigint);
create macro hex_id(n, word) as format('{:016x}', random_of(n, word));
create macro hours_us(hours) as cast(hours * 3600000000.0 as bigint);
-- Days are busy around noon and quiet at night.
create macro of_day(part) as part - 0.12 * sin(2 * pi() * part);
create macro session_time_us(k) as cast(getvariable('first_day_us') as bigint)
    + (k // getvariable('sessions_per_day')) * 86400000000
    + cast(of_day((k % getvariable('sessions_per_day')) / getvariable('sessions_per_day')) * 86400e6 as bigint);
-- Event ids grow with time, as UUIDs of version 7 do.
create macro event_id_of(us, n, word) as
    format('{:012x}-{}', us // 1000, hex_id(n, word));
create macro amount_of(n, word) as
    format('{:.2f}', least(4000, exp(3.4 + 0.9 * sqrt(-2 * ln(1 - uniform(n, word))) * cos(6.2832 * uniform(n, word || '2')))));

create temp view sessions_of_slice as
with born as (
    -- Two sessions of five bring a new visitor.
    select
        k,
        k * 2 // 5 as visitors_before,
        (k + 1) * 2 // 5 > k * 2 // 5 as is_new
    from range(getvariable('first_session'), getvariable('end_session')) as numbers(k)
),

returning_visitors as (
    -- Who returns came lately, mostly; every fifth return is of somebody who comes often.
    select
        *,
        visitors_before - 1
            - cast(0.4 * getvariable('sessions_per_day') * (pow(1 - uniform(k, 'back'), -0.8) - 1) as bigint)
            as recent
    from born
),

chosen as (
    select
        k,
        case
            when is_new or visitors_before = 0 then visitors_before
            when recent < 0 then random_of(k, 'anybody') % visitors_before
            when uniform(k, 'often') < 0.2 then recent - recent % 50
            else recent
        end::bigint as visitor
    from returning_visitors
),

described as (
    select
        k,
        visitor,
        hex_id(visitor, 'visitor') as visitor_id,
        case when visitor // 3 % 12 = 0 then 'club' else 'shop' end as project_id,
        uniform(k, 'bot') < 0.04 as is_bot,
        uniform(visitor, 'dialect') < 0.2 as is_segment,
        uniform(visitor, 'sdk') < 0.6 as sends_sessions,
        session_time_us(k) as start_us,
        -- Three visitors may be one person's devices; who has an account logs in on some of them. Few use
        -- somebody else's device.
        case when uniform(visitor // 3, 'account') < 0.25 and uniform(visitor, 'device') < 0.6
            then visitor // 3 + case when uniform(k, 'shared') < 0.01 then 1 else 0 end end as account,
        uniform(k, 'login') < 0.35 as logs_in,
        uniform(k, 'origin') as origin,
        least(25, 1 + cast(floor(-ln(1 - uniform(k, 'views')) * 2.9) as bigint)) as views
    from chosen
),

sourced as (
    select
        *,
        'user-' || account as user_id,
        case
            when is_bot or origin < 0.32 then 'direct'
            when origin < 0.52 then 'search'
            when origin < 0.60 then 'site'
            when origin < 0.67 then 'social'
            when origin < 0.81 then 'google_ad'
            when origin < 0.88 then 'facebook_ad'
            when origin < 0.91 then 'bing_ad'
            when origin < 0.96 then 'newsletter'
            else 'affiliate'
        end as came_by
    from described
)

select
    *,
    case came_by
        when 'search' then list_extract(
            ['https://www.google.com/', 'https://www.google.de/', 'https://www.bing.com/search',
            'https://duckduckgo.com/', 'https://search.yahoo.com/search'], zipf(k, 'engine', 6))
        when 'site' then 'https://blog-' || zipf(k, 'site', 400) || '.example/post-' || zipf(k, 'post', 50)
        when 'social' then list_extract(
            ['https://www.facebook.com/', 'https://t.co/x', 'https://www.reddit.com/r/all',
            'https://www.linkedin.com/feed'], zipf(k, 'network', 5))
        when 'google_ad' then 'https://www.google.com/'
        when 'facebook_ad' then 'https://l.facebook.com/'
        when 'bing_ad' then 'https://www.bing.com/search'
    end as came_from,
    case came_by
        when 'google_ad' then 'google'
        when 'facebook_ad' then 'facebook'
        when 'bing_ad' then 'bing'
        when 'newsletter' then 'newsletter'
        when 'affiliate' then 'affiliate-' || zipf(k, 'affiliate', 60)
    end as utm_source,
    case came_by
        when 'google_ad' then 'cpc'
        when 'facebook_ad' then 'paid_social'
        when 'bing_ad' then 'cpc'
        when 'newsletter' then 'email'
        when 'affiliate' then 'affiliate'
    end as utm_medium,
    case when came_by in ('google_ad', 'facebook_ad', 'bing_ad', 'newsletter')
        then 'campaign-' || zipf(k, 'campaign', 120) end as utm_campaign,
    case came_by when 'google_ad' then 'gclid' when 'facebook_ad' then 'fbclid' when 'bing_ad' then 'msclkid' end
        as click_parameter,
    hex_id(k, 'click') || format('{:08x}', k) as click,
    -- Every fourth paid click has no UTM but its click id alone.
    uniform(k, 'untagged') < 0.25 and came_by in ('google_ad', 'facebook_ad', 'bing_ad') as is_untagged,
    case when uniform(visitor, 'exposed') < 0.3 and not is_segment
        then case when uniform(visitor, 'variant') < 0.5 then '{"button":"a"}' else '{"button":"b"}' end end
        as experiments,
    -- What makes the session's later reports.
    not is_bot and uniform(k, 'buys') < 0.03 as buys,
    -- The moment of whatever is done at the end.
    start_us + views * 40000000 as done_us,
    format('h{:011x}', k * 32 + 1) as first_hit_id,
    case when is_bot
        then 'Mozilla/5.0 (compatible; ' || list_extract(['Googlebot', 'bingbot', 'AhrefsBot', 'YandexBot'],
            1 + (random_of(k, 'crawler') % 4)::bigint) || '/2.' || zipf(k, 'crawler', 9) || '; +http://bot.example/)'
        else 'Mozilla/5.0 (' || list_extract(['Windows NT 10.0; Win64; x64', 'iPhone; CPU iPhone OS 18_5 like Mac OS X',
            'Linux; Android 15; K', 'Macintosh; Intel Mac OS X 10_15_7', 'X11; Linux x86_64'],
            zipf(visitor, 'device', 6)) || ') AppleWebKit/537.36 (KHTML, like Gecko) Chrome/'
            || (148 - zipf(visitor, 'version', 60)) || '.0.0.0 Safari/537.36' end as user_agent,
    list_extract(['US', 'DE', 'GB', 'ES', 'FR', 'IT', 'NL', 'PL', 'SE', 'BR', 'IN', 'CA', 'AU', 'MX', 'JP'],
        zipf(visitor, 'country', 16)) as country
from sourced;

create temp table sessions as from sessions_of_slice limit 0;

create temp view visits as
with opened as (
    select
        sessions.*,
        view,
        k * 32 + view as n
    from (select *, unnest(range(1, views + 1)) as view from sessions) as sessions
),

placed as (
    select
        *,
        start_us + (view - 1) * 40000000 + cast(uniform(n, 'pause') * 35000000 as bigint) as occurred_us,
        case
            when came_by = 'affiliate' and view = 1 then '/lp/' || zipf(k, 'lander', 6)
            when came_by = 'affiliate' and view = 2 then '/offers/' || zipf(k, 'offer', 13)
            when view = views and uniform(k, 'checkout') < 0.06 then '/checkout'
            when view = 1 and uniform(n, 'home') < 0.4 then '/'
            when uniform(n, 'section') < 0.7 then '/products/item-' || zipf(n, 'item', 5000)
            else '/blog/post-' || zipf(n, 'article', 800)
        end as path
    from opened
)

select
    *,
    'https://' || project_id || '.example' || path || case when view = 1 then coalesce('?' || nullif(concat_ws('&',
        case when not is_untagged then concat_ws('&', 'utm_source=' || utm_source, 'utm_medium=' || utm_medium,
            'utm_campaign=' || utm_campaign) end,
        click_parameter || '=' || click), ''), '') else '' end as url
from placed;

create temp view reports_of_slice as
with visit_reports as (
    select
        k,
        event_id_of(occurred_us, n, 'visit') as event_id,
        project_id,
        if(is_segment, 'segment', 'openanalytics') as dialect,
        'browser' as sender,
        'visit' as kind,
        -- A phone that was offline sends hours later.
        occurred_us + case when uniform(n, 'offline') < 0.015 then hours_us(0.2 / (1.003 - uniform(n, 'hours')))
            else cast(100000 + 900000 * uniform(n, 'lag') as bigint) end as received_us,
        occurred_us,
        if(is_segment, null, format('h{:011x}', n)) as hit_id,
        if(sends_sessions and not is_segment, 's' || format('{:011x}', k), null) as session_id,
        visitor_id,
        if(logs_in and view > 2, user_id, null) as user_id,
        url,
        case when view = 1 then came_from else 'https://' || project_id || '.example/' end as referrer,
        case when came_by = 'affiliate' and view = 1 then 'lander-' || zipf(k, 'lander', 6)
            when came_by = 'affiliate' and view = 2 then 'offer-' || zipf(k, 'offer', 13) end as page_id,
        case when came_by = 'affiliate' and view = 1 then 'lander'
            when came_by = 'affiliate' and view = 2 then 'offer' end as page_kind,
        country,
        user_agent,
        if(view = 1 and not is_untagged and not is_segment, utm_source, null) as utm_source,
        if(view = 1 and not is_untagged and not is_segment, utm_medium, null) as utm_medium,
        if(view = 1 and not is_untagged and not is_segment, utm_campaign, null) as utm_campaign,
        if(view = 1, experiments, null) as experiments,
        case when uniform(n, 'properties') < 0.3
            then '{"theme":"' || if(uniform(visitor, 'theme') < 0.5, 'dark', 'light') || '","depth":' || view || '}' end
            as properties
    from visits
),

logins as (
    select
        k,
        event_id_of(start_us, k, 'login') as event_id,
        project_id,
        if(is_segment, 'segment', 'openanalytics') as dialect,
        'browser' as sender,
        'identify' as kind,
        start_us + 50000000 as occurred_us,
        start_us + 51000000 as received_us,
        visitor_id,
        user_id,
        case when uniform(account, 'mail') < 0.5
            then '{"email_sha256":"' || sha256(user_id || '@mail.example') || '","plan":"basic"}' end as properties
    from sessions
    where logs_in and user_id is not null and not is_bot
),

aliases as (
    -- An account that was opened twice.
    select
        k,
        event_id_of(start_us, k, 'alias') as event_id,
        project_id,
        'openanalytics' as dialect,
        'server' as sender,
        'alias' as kind,
        done_us as occurred_us,
        done_us + 2000000 as received_us,
        user_id,
        user_id || '-old' as previous_id
    from sessions
    where user_id is not null and uniform(k, 'alias') < 0.002
),

actions as (
    select
        k,
        event_id_of(done_us, k, action) as event_id,
        project_id,
        if(is_segment, 'segment', 'openanalytics') as dialect,
        'browser' as sender,
        'event' as kind,
        action as name,
        done_us - 20000000 as occurred_us,
        done_us - 19000000 as received_us,
        if(is_segment, null, first_hit_id) as hit_id,
        visitor_id,
        if(logs_in, user_id, null) as user_id,
        '{"items":' || zipf(k, 'items', 5) || ',"list":"search"}' as properties
    from sessions
    cross join (values ('add_to_cart', 0.09), ('signup', 0.02)) as possible(action, chance)
    where not is_bot and (uniform(k, action) < chance or (buys and action = 'add_to_cart'))
),

purchases as (
    -- Most are reported by the shop's server, some by the browser as well, few by an ad click alone.
    select
        k,
        event_id_of(done_us, k, 'purchase' || way) as event_id,
        project_id,
        case way when 'click' then 'superfunnel' when 'browser' then 'segment'
            else if(is_segment, 'segment', 'openanalytics') end as dialect,
        case way when 'browser' then 'browser' else 'server' end as sender,
        'conversion' as kind,
        if(is_segment, 'Order Completed', 'purchase') as name,
        if(way = 'click', received_us, done_us) as occurred_us,
        received_us,
        if(way = 'server' and not is_segment and uniform(k, 'names visit') < 0.6, first_hit_id, null) as hit_id,
        if(way = 'click', null, visitor_id) as visitor_id,
        if(way = 'server', user_id, null) as user_id,
        if(way = 'click', click, null) as click_id,
        if(way = 'click', click_parameter, null) as click_id_type,
        amount_of(k, 'amount') as amount_text,
        'major' as amount_unit,
        if(way = 'click', null, if(uniform(visitor, 'currency') < 0.8, 'USD', 'EUR')) as currency,
        if(way = 'click', null, 'order-' || k) as transaction_id,
        if(way = 'server' and uniform(k, 'held') < 0.1, 'pending', null) as status
    from (
        select
            *,
            done_us + case way when 'click' then hours_us(6 + 30 * uniform(k, 'upload')) when 'browser' then 900000
                else cast(2000000 + 40000000 * uniform(k, 'server') as bigint) end as received_us
        from sessions
        cross join (values ('server'), ('browser'), ('click')) as ways(way)
    ) as reported
    where
        buys
        and case way
            when 'click' then click_parameter is not null and uniform(k, 'way') < 0.15
            when 'browser' then is_segment and uniform(k, 'way') >= 0.15 and uniform(k, 'way') < 0.6
            else click_parameter is null or uniform(k, 'way') >= 0.15
        end
),

decisions as (
    -- What was pending is decided days later; a few never are.
    select
        k,
        event_id_of(received_us, k, 'decision') as event_id,
        project_id,
        dialect,
        'server' as sender,
        'conversion' as kind,
        name,
        received_us + hours_us(24 + 240 * uniform(k, 'decided')) as occurred_us,
        received_us + hours_us(24 + 240 * uniform(k, 'decided')) + 1500000 as received_us,
        visitor_id,
        user_id,
        amount_text,
        amount_unit,
        currency,
        transaction_id,
        if(uniform(k, 'decision') < 0.8, 'approved', 'rejected') as status
    from purchases
    where status = 'pending' and uniform(k, 'decision') < 0.95
),

postbacks as (
    select
        k,
        event_id_of(received_us, k, 'postback' || step) as event_id,
        project_id,
        'funnelflux' as dialect,
        'server' as sender,
        'conversion' as kind,
        received_us as occurred_us,
        received_us,
        if(uniform(k, 'by hit') < 0.6 and not is_segment, format('h{:011x}', k * 32 + 2), null) as hit_id,
        if(uniform(k, 'by hit') < 0.6 and not is_segment, null, visitor_id) as visitor_id,
        if(uniform(k, 'by hit') < 0.6 and not is_segment, null, 'offer-' || zipf(k, 'offer', 13)) as page_id,
        'tx-' || k as transaction_id,
        if(uniform(k, 'payout') < 0.6, format('{:.2f}', 10 + 40 * uniform(k, 'worth')), null) as amount_text,
        case when step = 1 then 'pending' when uniform(k, 'judged') < 0.8 then 'approved' else 'rejected' end
            as status
    from (
        select
            *,
            done_us + hours_us(if(step = 1, 1.5 * uniform(k, 'network'), 24 + 400 * uniform(k, 'judged later')))
                as received_us
        from sessions
        cross join (values (1), (2)) as steps(step)
        where
            came_by = 'affiliate' and not is_bot and views > 1
            and uniform(k, 'postback') < 0.08 and (step = 1 or uniform(k, 'judged') < 0.93)
    ) as reported
),

refunds as (
    select
        k,
        event_id_of(done_us, k, 'refund') as event_id,
        project_id,
        'openanalytics' as dialect,
        'server' as sender,
        'refund' as kind,
        done_us + hours_us(12 + 500 * uniform(k, 'regret')) as occurred_us,
        done_us + hours_us(12 + 500 * uniform(k, 'regret')) + 3000000 as received_us,
        if(uniform(k, 'part') < 0.4, '5.00', null) as amount_text,
        'order-' || k as transaction_id
    from sessions
    where buys and uniform(k, 'refund') < 0.06
),

reports as (
    from visit_reports
    union all by name from logins
    union all by name from aliases
    union all by name from actions
    union all by name from purchases
    union all by name from decisions
    union all by name from postbacks
    union all by name from refunds
)

select
    reports.* exclude (k, received_us, amount_unit),
    reports.received_us + coalesce(repeated.after_us, 0) as received_us,
    if(amount_text is null, null, 'major') as amount_unit,
    repeated.payload_number,
    cast(null as bigint) as sent_us,
    '1' as dialect_version,
    case
        when dialect = 'funnelflux' then concat_ws('&', 'hit=' || hit_id, 'vid=' || visitor_id, 'p=' || page_id,
            'tx=' || transaction_id, 'rev=' || amount_text, 'status=' || status)
        else '{"event_type":"' || if(kind = 'visit', 'pageview', kind) || '"' || concat('',
            ',"event_name":"' || name || '"',
            ',"event_id":"' || event_id || '"',
            ',"anonymous_id":"' || visitor_id || '"',
            ',"user_id":"' || user_id || '"',
            ',"session_id":"' || session_id || '"',
            ',"visit_id":"' || hit_id || '"',
            ',"url":"' || url || '"',
            ',"referrer":"' || referrer || '"',
            ',"country":"' || country || '"',
            ',"revenue":' || amount_text,
            ',"currency":"' || currency || '"',
            ',"transaction_id":"' || transaction_id || '"',
            ',"status":"' || status || '"',
            ',"properties":' || properties,
            ',"timestamp":' || (occurred_us // 1000)) || '}'
    end as payload
from reports
join (values (1, 0), (2, 45000000)) as repeated(payload_number, after_us)
    -- Senders that saw no answer send again.
    on repeated.payload_number = 1 or random_of(occurred_us, kind) % 150 = 0;

create temp table waiting as from reports_of_slice limit 0;

-- As the contract orders columns; what no report fills is null.
create temp table contract_columns (
    goal_id varchar, previous_id varchar, alias_type varchar, alias_value varchar, utm_term varchar,
    utm_content varchar, forwardable boolean
);

create temp table arrived as select *, cast(0 as bigint) as seq from waiting limit 0;

create temp view sealed as
from arrived union all by name from (from contract_columns limit 0);

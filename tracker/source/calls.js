// The names that pages call: flux, oa and _pgnt. Behind them is one table of calls.

import { config } from "./config.js";
import { consent, emit, mayIdentify, optOut, page, reset, wait } from "./events.js";
import { decorate } from "./links.js";
import { next } from "./pages.js";
import { attempt, quiet, warn } from "./quiet.js";
import { isLive } from "./stores.js";
import { current, sessionFacts, setSessionFacts } from "./sessions.js";

const LONGEST_OBJECT = 20000;

/** A text, also of a number; nothing where nothing is said. */
const text = (value) => (/^[sn]/.test(typeof value) ? "" + value : value && warn(value));

/** The same of conversions: a macro that nobody replaced, and a sum that failed, say nothing. */
const said = (value) => (/^(VALUE|REPLACE|null|\s*)$|\{.*\}|%7b.*%7d/i.test(value) ? undefined : text(value));

/** A copy of an object's data; nothing where it has none. */
function object(value) {
    const json = attempt(() => JSON.stringify(value ?? {})) || "";
    if (json === "{}") return;
    return json[0] === "{" && json.length < LONGEST_OBJECT ? JSON.parse(json) : warn(value);
}

/** Calls for an event that has a name. */
const named = (work) => (name, data) => (name?.trim?.() ? work(name, object(data)) : warn(name));

/** What a conversion was worth, in FunnelFlux' names or in OpenAnalytics'. */
const money = ({ rev, revenue, currency, tx, order_id, transaction_id }) => ({
    rev: said(rev ?? revenue),
    cur: said(currency),
    tx: said(tx ?? order_id ?? transaction_id),
});

const CALLS = {
    track: named((name, data = {}) => {
        if (name !== "conversion") return emit("flux", "event", { name, props: object(data) });
        const { vid, hit, p, rev, tx, currency, ...others } = data;
        const fields = { hit: said(hit), ...money(data), props: object(others) };
        if (said(p)) fields.page = said(p);
        if (said(vid) || fields.hit) fields.vid = said(vid);
        if (fields.vid && fields.hit) warn("vid");
        // With a hit or a session of ours, the models would take that view. So they take the latest of an offer.
        emit("flux", name, { ...fields, sid: undefined });
    }),
    conversion: named((name, props) => emit("oa", "conversion", { name, ...money(props || {}), props })),
    event: named((name, props) => emit("oa", "event", { name, props })),
    pageview(given) {
        const props = object(given);
        if (isLive) next(props);
        else wait(() => next(props));
    },
    identify: (user, traits) =>
        text(user) ? emit("oa", "identify", { user: text(user), props: object(traits) }) : warn(user),
    consent(all, { ads = "" } = {}) {
        const decision = `${all}.${ads}`;
        if (/^(granted|denied)\.(granted|denied|)$/.test(decision)) consent(decision);
        else warn(decision);
    },
    experiment(given) {
        const x = object(given);
        if (!x || !mayIdentify()) return;
        const facts = sessionFacts(current(0, !page.sid && page).sid);
        setSessionFacts({ ...facts, x, exp: { ...facts.exp, [x.id]: x.variation } });
    },
    reset,
    optOut,
};

const run = quiet(([name, ...given]) => {
    if (CALLS[name]) CALLS[name](...given);
    else warn(name);
});

const variables = quiet((label) => {
    const { vid = null, sid = null } = mayIdentify() ? current() : {};
    const x = sessionFacts(sid).x || {};
    return {
        session_id: sid,
        user_id: vid,
        visit_id: (vid && page.hit) ?? null,
        conversion_id: { __proto__: null, ...config.goals }[label] ?? null,
        experiment_id: x.id ?? null,
        experiment_numeric_id: x.numeric_id ?? null,
        variation_id: x.variation ?? null,
        is_control: x.is_control ?? null,
        endpoint_path: x.endpoint_path ?? null,
    };
});

// The three names, and the calls that a stub has collected; a stub that the page kept works on.
const [flux, oa, _pgnt] = [window.flux, window.oa, window._pgnt].map(Object);

for (const { q } of [flux, oa]) {
    if (q?.map) {
        q.map(run);
        q.push = run;
    }
}

for (const name in CALLS) flux[name] = (...given) => run([name, ...given]);
window.flux = Object.assign(flux, { fh: 1, decorate });
window.oa = (...given) => run(given);
window._pgnt = Object.assign(_pgnt, { variables });

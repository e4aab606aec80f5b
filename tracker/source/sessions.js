// The visitor and the session. Read again whenever they are used, so that the tabs of a browser agree.

import { campaign, sendable } from "./addresses.js";
import { config } from "./config.js";
import { newId } from "./ids.js";
import { quiet } from "./quiet.js";
import { get, local, mayKeep, put, setLocal } from "./stores.js";

const IDLE = (config.session_minutes || 30) * 6e4;
const LONGEST = 864e5;

let factsHere;

/** The visitor and the session as they stand. `touch`: this is activity; `view`: the page view that begins. */
export function current(touch, view) {
    const now = Date.now();
    const [known] = /^[\w-]{1,64}$/.exec(get("fh_vid") || "") || [];
    const vid = known || newId();
    if (view || !known) put("fh_vid", vid);

    let [sid, started, last] = `${get("fh_ses")}`.split(".");
    if (!(now - last <= IDLE && now - started <= LONGEST) || (view && isSplit(sid, view))) {
        sid = newId();
        started = now;
        touch = true;
    }
    if (touch) put("fh_ses", `${sid}.${started}.${now}`);
    return { vid, sid };
}

/** Take over what a sister site knows. */
export function adopt(vid, sid) {
    if (get("fh_vid")) return;
    put("fh_vid", vid);
    put("fh_ses", `${sid}.${Date.now()}.${Date.now()}`);
}

/** What is known of the session: its first page view, and its experiments. */
export function sessionFacts(sid) {
    const kept = mayKeep() && quiet(() => JSON.parse(local("fh_first")), () => {})();
    return [kept, factsHere].find((facts) => facts && facts.s === sid) || { s: sid };
}

export function setSessionFacts(facts) {
    factsHere = facts;
    if (mayKeep()) setLocal("fh_first", JSON.stringify(facts));
}

/** The session's first page view; it is this one where there was none. */
export function firstView(sid, view, isView) {
    const facts = sessionFacts(sid);
    if (isView && !facts.url) {
        Object.assign(facts, { url: sendable(view.href), ref: sendable(view.ref), t: view.at });
        setSessionFacts(facts);
    }
    return facts.url && { ...addressed(facts.url, facts.ref), t: facts.t, ...campaign(facts.url) };
}

/** An address and where it was come from, as they are sent. */
export const addressed = (url, ref) => ({
    url: sendable(url).slice(0, 2048),
    ref: sendable(ref).slice(0, 2048) || undefined,
});

/** The campaign that brought a page view: its own address's, else its session's. */
export function broughtBy(view, sid) {
    const own = campaign(view.href);
    const { url } = sessionFacts(sid);
    return Object.keys(own)[0] || !url ? own : campaign(url);
}

function isSplit(sid, view) {
    const { url } = sessionFacts(sid);
    return config.split_on_campaign && url && JSON.stringify(broughtBy(view, sid)) !== JSON.stringify(campaign(url));
}

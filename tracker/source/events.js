// The page of the moment, and an event's way from the call that made it to the queue.

import { campaign, sent } from "./addresses.js";
import { attributes, config, isSilent } from "./config.js";
import { hashOf, idOf, newId } from "./ids.js";
import { enqueue, send } from "./queue.js";
import { current, sessionFacts, setSessionFacts } from "./sessions.js";
import { forget, get, isDenied, isLive, isOpen, live, put } from "./stores.js";

const MOST_WAITING = 50;

/** The page view of the moment, in the wire's words: url, ref, hit, t, page and pk; and sid, once it is said. */
export let page;

/** What is to be done when the page is looked at and the visitor has decided. */
let waiting = [];

export const wait = (work) => waiting[MOST_WAITING - 1] || waiting.push(work);

/** Do it, and then what has waited for it. */
function release(work) {
    const held = waiting;
    waiting = [];
    work();
    held.map((each) => each());
}

const loaded = { path: location.pathname, ...attributes };

/** Turn to the page that the address bar shows. What the tag says of its page is not said of a router's next one. */
export function turn(ref, hit = newId()) {
    const isNamed = location.pathname === loaded.path || attributes.page !== loaded.page;
    const { page: node, kind } = isNamed ? attributes : {};
    page = { url: location.href, ref, hit, t: Date.now(), page: node, pk: kind };
}

/** A page view of its own. */
export const view = (props) => emit("oa", "pageview", { props }, page.t);

/** Nothing of this visitor is recorded. */
const isOff = () => isSilent || get("fh_out");

/** Ids may be shown to the page. */
export const mayIdentify = () => !isOff() && !isDenied();

/** Ids may be given to other hosts: none is, before the visitor decided. */
export const mayHandOn = () => mayIdentify() && !isOpen();

/** Send an event, have it wait for the visitor's decision, or forget it. */
export function emit(api, type, fields, t = Date.now(), view = page) {
    if (isOff()) return;
    if (isOpen() || !isLive) return wait(() => emit(api, type, fields, t, view));
    const event = { ...view, ...sent(view), id: newId(), api, type, t };
    if (isDenied()) {
        if (config.denied !== "anonymous" || type === "identify") return;
        Object.assign(event, fields, { vid: undefined, sid: undefined, hit: undefined });
    } else {
        const isView = type === "pageview" && view;
        const { vid, sid } = current(1, isView);
        const facts = sessionFacts(sid);
        if (isView) {
            view.sid = sid;
            if (!facts.url) setSessionFacts(Object.assign(facts, sent(view), { t: view.t }));
        }
        const first = facts.url && { ...sent(facts), t: facts.t, ...campaign(facts.url) };
        // FunnelFlux' conversions say that they have no session. When nothing else tells them from the next,
        // they are told by what they say: a page that is loaded again reports the same conversion.
        if ("sid" in fields && !fields.tx) {
            event.id = idOf(sid + view.url.replace(/[?#].*/, "") + JSON.stringify(fields));
        }
        Object.assign(event, { vid, sid, first, exp: facts.exp }, fields);
        // Made now, for a link that is clicked later: the hashes take a moment.
        hashOf(sid);
        hashOf(view.hit);
    }
    enqueue(event);
}

/** Forget the visitor, here and in the browser's stores. */
function forgetAll() {
    forget("fh_vid", "fh_ses", "fh_first", "fh_q");
    page = { ...page, hit: newId(), sid: undefined };
    waiting = [];
}

/** The visitor's decision, with that of ads. */
export const consent = (decision) =>
    release(() => {
        put("fh_consent", decision);
        if (isDenied()) forgetAll();
        else send();
    });

/** The page is looked at. */
export const open = () =>
    release(() => {
        live();
        send();
        view();
    });

/** Another visitor is here, who hasn't viewed this page. */
export function reset() {
    forget("fh_vid", "fh_ses", "fh_first");
    page = { ...page, hit: undefined, sid: undefined };
}

export function optOut(out = true) {
    put("fh_out", out ? "1" : "");
    if (out) forgetAll();
}

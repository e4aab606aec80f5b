// What is to be sent, until an answer says that it arrived. The server forgets repeats by the events' ids.

import { endpoint, isDebug } from "./config.js";
import { later, on, quiet } from "./quiet.js";
import { decision, forget, isDenied, local, mayKeep, setLocal } from "./stores.js";

const MOST = 50;
const MOST_KEPT = 65536;
const LONGEST_BATCH = 16000;
const OLDEST = 3 * 864e5;
const TRIES = 8;
const LONGEST_WAIT = 3e5;

let queue = [];
let lost = 0;
let isBusy;
let failures = 0;
let timer;
let notBefore = 0;
const beaconed = new Set();

const isKept = () => mayKeep() && !isDebug;

/** What the browser keeps, of earlier pages and other tabs, too. */
const kept = quiet(
    () => JSON.parse(local("fh_q")).filter((event) => event.id && Date.now() - event.t < OLDEST),
    () => [],
);

/** Whether none of these events has the id of the one given. */
const lacks = (events) => (event) => !events.some((other) => other.id === event.id);

function keep(events) {
    let text;
    while ((text = JSON.stringify(events)).length > MOST_KEPT || events[MOST]) {
        const dropped = events.splice(0, 1);
        queue = queue.filter(lacks(dropped));
        lost++;
    }
    if (isKept()) setLocal("fh_q", (lost || events[0]) && JSON.stringify([lost, ...events]));
}

/** The first events that one request may carry. */
function batch(events) {
    let size = 0;
    return events.filter((event, index) => {
        size += JSON.stringify(event).length;
        return !index || (size < LONGEST_BATCH && index < MOST);
    });
}

function body(events) {
    const { all, ads } = decision();
    const batch = { v: 1, sent: Date.now(), ads, consent: all, auto: navigator.webdriver || undefined };
    return (
        JSON.stringify({ ...batch, lost: lost || undefined, events })
            // Halves of characters and U+0000 are no text to the server, and would cost the batch.
            .replace(/\\(?:u(d...|0000)|.)/g, (escape, bad) => (bad ? "?" : escape))
    );
}

const post = (text, keepalive) =>
    fetch(endpoint, {
        method: "POST",
        body: text,
        keepalive,
        credentials: mayKeep() ? "include" : "omit",
        headers: isDebug ? { "Funnelhouse-Dry-Run": "1" } : {},
    });

/** Send what waits, one request at a time. */
function send() {
    if (isBusy || timer || failures >= TRIES || !queue[0]) return;
    isBusy = true;
    const events = batch(queue);
    const told = lost;
    const text = body(events);
    post(text, true)
        // Browsers hold 64 KiB for all such requests together; without keepalive there is no limit.
        .catch((error) => {
            if (document.hidden) throw error;
            return post(text);
        })
        .then(async (response) => {
            // Until its body is read, an answered request still counts against those 64 KiB.
            const said = await response.text().catch(() => {});
            const { status } = response;
            if (isDebug) console.info("funnelhouse:", status, said, events);
            if (status > 499 || status === 408 || status === 429) {
                notBefore = Date.now() + response.headers.get("Retry-After") * 1e3;
                throw status;
            }
            failures = 0;
            lost -= told;
            queue = queue.filter(lacks(events));
            // The answer to what was sent before the visitor said no may have set a cookie.
            if (isDenied()) forget();
            if (isKept()) keep(kept().filter(lacks(events)));
        })
        .catch(() => {
            const wait = Math.min(LONGEST_WAIT, 2e3 * 2 ** failures++ * (0.5 + Math.random()));
            timer = later(again, Math.max(wait, notBefore - Date.now() || 0));
        })
        .then(() => {
            isBusy = false;
            send();
        });
}

function again() {
    clearTimeout(timer);
    timer = 0;
    send();
}

export function enqueue(event) {
    queue.push(event);
    keep(isKept() ? kept().concat(event) : queue.slice());
    // Whoever called goes on first.
    later(send);
}

/** The page may be gone in a moment. A beacon's arrival is never told, so its events stay until a page's next answer. */
export function flush() {
    if (isKept() && Date.now() < notBefore) return;
    let rest;
    while ((rest = batch(queue.filter((event) => !beaconed.has(event))))[0]) {
        rest.map((event) => beaconed.add(event));
        const text = body(rest);
        // Beacons carry cookies, and no headers of ours.
        if (!isKept() || !navigator.sendBeacon(endpoint, text)) post(text, true).catch(() => {});
    }
}

/** What this browser owes from earlier pages. */
export function resume() {
    if (!isKept()) return;
    queue = kept().filter(lacks(queue)).concat(queue);
    lost = quiet(() => +JSON.parse(local("fh_q"))[0], () => 0)();
    send();
}

export function watchNetwork() {
    on(window, "online", () => {
        if (Date.now() < notBefore) return;
        failures = 0;
        again();
    });
}

export function discard() {
    queue = [];
    lost = 0;
    setLocal("fh_q");
}

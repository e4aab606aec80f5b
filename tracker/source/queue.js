// What is to be sent, until an answer says that it arrived. The server forgets repeats by the events' ids.

import { config, endpoint } from "./config.js";
import { attempt, later, on } from "./quiet.js";
import { decision, forget, get, isDenied, isLive, mayUse, put } from "./stores.js";

const MOST = 50;
const MOST_KEPT = 65e3;
const LONGEST_BATCH = 16000;
const OLDEST = 3 * 864e5;
const RETRIES = 7;

/** What a developer tries is not to be mixed with what visitors did. */
const NAME = config.debug ? "fh_debug" : "fh_q";

/** What this page has yet to send. Tabs share one queue, and a tab that writes at the same moment may undo our writing. */
let ours = [];
let beaconed = "";
let isBusy;
let failures = 0;
let timer;
let notBefore = 0;

const without = (events, gone) => events.filter(({ id }) => !gone.some((other) => other.id === id));

/** How many events were lost since that was last told, and those that wait: of earlier pages and other tabs, too. */
function waiting() {
    // Whoever opts out, here or in another tab, has no queue. The answer to what was sent before may have set a cookie.
    if (get("fh_out")) forget("fh_vid", NAME);
    return attempt(
        () => {
            const [lost, ...kept] = JSON.parse(isLive && get(NAME));
            return [
                +lost || 0,
                ...without(kept, ours).filter((event) => event.id && Date.now() - event.t < OLDEST),
                ...ours,
            ];
        },
        () => [0],
    );
}

/** An event takes its place in the queue, or others leave it, and their loss was told. */
function change(come, gone, told) {
    let [lost, ...events] = waiting();
    events = without(events, gone).concat(come);
    let text;
    while ((text = JSON.stringify([lost - told, ...events])).length > MOST_KEPT || events[MOST]) {
        events.shift();
        lost++;
    }
    ours = ours.concat(come).filter((event) => events.includes(event));
    put(NAME, text);
}

/** The first events that one request may carry. */
function batch(events) {
    let size = 0;
    return events.filter(
        (event, index) => ((size += JSON.stringify(event).length) < LONGEST_BATCH && index < MOST) || !index,
    );
}

const body = (events, lost) =>
    JSON.stringify({
        v: 1,
        sent: Date.now(),
        ...decision(),
        auto: navigator.webdriver || undefined,
        lost: lost || undefined,
        events,
        // Halves of characters and U+0000 are no text to the server, and would cost the batch.
    }).replace(/\\(?:u(d...|0000)|.)/g, (escape, bad) => (bad ? "?" : escape));

const post = (body, keepalive) =>
    fetch(endpoint, {
        method: "POST",
        body,
        keepalive,
        credentials: mayUse() ? "include" : "omit",
        headers: config.debug ? { "Funnelhouse-Dry-Run": "1" } : {},
    });

/** Send what waits, one request at a time. */
export async function send() {
    const [lost, ...all] = waiting();
    if (isBusy || timer || failures > RETRIES || !all[0]) return;
    isBusy = true;
    const events = batch(all);
    const text = body(events, lost);
    try {
        // Browsers hold 64 KiB for all such requests together; without keepalive there is no limit.
        const response = await post(text, true).catch(() => post(text));
        // Until its body is read, an answered request still counts against those 64 KiB.
        const said = await response.text().catch(() => {});
        const { status } = response;
        if (config.debug) console.info(status, said, events);
        if (/^5|408|429/.test(status)) {
            notBefore = Date.now() + response.headers.get("Retry-After") * 1e3;
            throw status;
        }
        failures = 0;
        change([], events, lost);
        // The answer to what was sent before the visitor said no may have set a cookie.
        if (isDenied()) forget("fh_vid");
    } catch {
        timer = later(again, Math.max(2e3 * 2 ** failures++ * (0.5 + Math.random()), notBefore - Date.now() || 0));
    }
    isBusy = false;
    send();
}

function again() {
    clearTimeout(timer);
    timer = 0;
    send();
}

export function enqueue(event) {
    change([event], [], 0);
    // Whoever called goes on first.
    later(send);
}

/** The page may be gone in a moment. A beacon's arrival is never told, so its events stay until a page's next answer. */
export function flush() {
    if (mayUse() && Date.now() < notBefore) return;
    let [lost, ...rest] = waiting();
    rest = rest.filter(({ id }) => !beaconed.includes(id));
    beaconed += JSON.stringify(rest);
    while (rest[0]) {
        const events = batch(rest);
        rest = rest.slice(events.length);
        const text = body(events, lost);
        // Beacons carry cookies, and no headers of ours.
        if (!mayUse() || config.debug || !navigator.sendBeacon(endpoint, text)) post(text, true).catch(() => {});
    }
}

on(window, "online", () => {
    if (Date.now() < notBefore) return;
    failures = 0;
    again();
});

// Cookies, localStorage, and memory where neither may be had; and the visitor's decision, which rules them.

import { config, isAdFree } from "./config.js";
import { quiet } from "./quiet.js";

const DAY = 86400;

/** Names of cookies and how long they live, in seconds. */
const LIFE = { fh_vid: 400 * DAY, fh_ses: DAY, fh_consent: 180 * DAY };

const isFull = config.storage !== "none";

let memory = {};
let isLive;

/** Browsers refuse their stores in sandboxed frames, where cookies are blocked, and when they are full. */
const attempt = (work) => quiet(work, () => {})();

const domain = config.cookie_domain;
const isFitting = domain && `.${location.hostname}`.endsWith(domain.replace(/^\.?/, "."));

const setCookie = (name, value, seconds, isShared) =>
    attempt(() => {
        document.cookie =
            `${name}=${value};path=/;samesite=lax;max-age=${seconds}` +
            (/s:/.test(location.protocol) ? ";secure" : "") +
            (isShared ? ";domain=" + domain : "");
    });

/** What localStorage holds under a name. */
export const local = (name) => attempt(() => localStorage[name]);

/** Puts it there; nothing takes the name away. */
export const setLocal = (name, text) =>
    attempt(() => (text ? localStorage.setItem(name, text) : localStorage.removeItem(name)));

/** Browsers' stores may be used for this name. */
const mayUse = (name) => isFull && (name === "fh_consent" || mayKeep());

export function get(name) {
    if (mayUse(name)) {
        const [, found] = attempt(() => document.cookie.match(`\\b${name}=([^;]+)`)) || [];
        const [value, since] = `${local(name)}`.split("~");
        if (found || Date.now() - since < LIFE[name] * 1e3) return found || value;
    }
    return memory[name];
}

/** Keep a value: on this page, and where they may be written in the browser's stores. */
export function put(name, value) {
    memory[name] = value;
    if (!isLive || !mayUse(name)) return;
    setCookie(name, value, LIFE[name], isFitting);
    if (name !== "fh_ses") setLocal(name, `${value}~${Date.now()}`);
}

/** From now on the browser's stores may be written. */
export const live = () => {
    isLive = true;
};

/** Forget all that is known of the visitor, everywhere. */
export function forget() {
    const { fh_consent } = memory;
    memory = { fh_consent };
    for (const name of ["fh_vid", "fh_ses", "fh_first"]) {
        setCookie(name, "", 0);
        setCookie(name, "", 0, isFitting);
        setLocal(name);
    }
}

/** What was decided of everything, and what follows for ads; undefined where nothing was. */
export function decision() {
    const [all, ads] = (get("fh_consent") || "").split(".");
    return { all: all || undefined, ads: ads || (isAdFree || all === "denied" ? "denied" : all || undefined) };
}

export const isDenied = () => decision().all === "denied";

/** Nothing may be written or sent yet. */
export const isOpen = () => config.consent === "required" && !decision().all;

/** The visitor's ids may be kept in the browser. */
export const mayKeep = () => isFull && !isOpen() && !isDenied();

/** Click ids may be sent and handed on. */
export const mayAdvertise = () => decision().ads !== "denied";

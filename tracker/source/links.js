// Links and forms that leave the page, and clicks that are events.

import { decoded } from "./addresses.js";
import { config, links, list } from "./config.js";
import { emit, mayHandOn, page } from "./events.js";
import { hashOf } from "./ids.js";
import { later, on, quiet } from "./quiet.js";
import { broughtBy, current } from "./sessions.js";

/** How long a link stays changed: some pages follow their links a moment after the click. */
const CHANGED_FOR = 1000;

const normal = (path) => decoded(path).replace(/(.)\/$/, "$1");

function isLander() {
    const path = normal(new URL(page.href).pathname);
    return page.kind
        ? page.kind === "lander"
        : (config.landers || []).some((each) => each === page.page || normal(each) === path);
}

const isOneOf = (hosts, host) => hosts.some((each) => each && `.${host}`.endsWith("." + each));

/** What a link to this address hands on. */
function handedOn({ href, host, hostname }) {
    const { vid, ...latest } = current();
    const { hit, sid = latest.sid } = page;
    if (href.startsWith(links)) return { vid, hit, sid };
    const domains = list(config.link_domains || "landers");
    const isLinked = domains[0] === "all" || (domains[0] === "landers" ? isLander() : isOneOf(domains, hostname));
    if (host === location.host) return {};
    const { gclid, fbclid, msclkid } = broughtBy(page, sid);
    return {
        ...(isLinked && { sessionId: sid, sessionHash: hashOf(sid), visitHash: hit && hashOf(hit), vid, hit }),
        ...(isLinked && { gclid, fbclid, msclkid }),
        _fh: isOneOf(list(config.cross_domains), hostname) && `${vid}.${sid}.${Date.now().toString(36)}`,
    };
}

/** An address as it is followed: with what its host is told, unless it says so already. */
export const decorate = (address) =>
    quiet(
        () => {
            const url = new URL(address, document.baseURI);
            const given = /^http/.test(url.protocol) && mayHandOn() ? handedOn(url) : {};
            const added = Object.keys(given)
                .filter((name) => given[name] && !url.searchParams.has(name))
                .map((name) => `${name}=${encodeURIComponent(given[name])}`);
            // Not by searchParams, which spell what is there their own way.
            if (added[0]) url.search += (url.search ? "&" : "?") + added.join("&");
            return added[0] ? url.href : address;
        },
        () => address,
    )();

function onClick(event) {
    if (event.button > 1) return;
    const path = event.composedPath();
    const named = path.find(({ dataset }) => dataset && dataset.fhEvent);
    if (named) emit("oa", "event", { name: named.dataset.fhEvent });
    const link = path.find(({ origin, dataset }) => origin && dataset);
    if (!link) return;
    const { host, href, origin, pathname } = link;
    if (config.outbound && /^http/.test(href) && host !== location.host && !href.startsWith(links)) {
        emit("oa", "event", { name: "link_click", props: { href: origin + pathname } });
    }
    const written = link.getAttribute("href");
    const changed = "fhPlain" in link.dataset ? href : decorate(href);
    if (changed === href) return;
    link.href = changed;
    // An address that somebody copies later must not hand this visitor on.
    later(() => link.setAttribute("href", written), CHANGED_FOR);
}

function onSubmit({ target }) {
    if (!target.matches("[data-fh-fill]") || !mayHandOn()) return;
    const { vid, sid } = current();
    const given = { vid, hit: page.hit, sessionId: page.sid || sid };
    for (const name in given) {
        let input = target.querySelector(`[name=${name}]`);
        if (!input) {
            input = target.appendChild(document.createElement("input"));
            input.type = "hidden";
            input.name = name;
        }
        if (input.type === "hidden") input.value = given[name] || "";
    }
}

export function watchLinks() {
    on(document, "click auxclick", onClick);
    on(document, "submit", onSubmit);
}

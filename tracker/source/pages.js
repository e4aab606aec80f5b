// Further page views: where a router changes the address, and out of the back/forward cache.

import { fragment } from "./config.js";
import { page, turn, view } from "./events.js";
import { later, on } from "./quiet.js";
import { isLive } from "./stores.js";

/** Another page view, which came from the one before. */
export function next(props) {
    turn(page.url);
    view(props);
}

/** The part of an address that makes no other page, beside its fragment; undefined while nothing is to be judged. */
let ignored;

function judge(part) {
    // Routers push an address and replace it in one go.
    if (ignored == null) {
        later(() => {
            const [before, now] = [page.url, location.href].map((address) =>
                address.replace(fragment, "").replace(ignored, ""),
            );
            ignored = null;
            if (isLive && before !== now) next();
        });
    }
    ignored = ignored === "" ? "" : part;
}

const watch = (name, part) => {
    const original = history[name];
    history[name] = function (...given) {
        const result = original.apply(this, given);
        judge(part);
        return result;
    };
};

watch("pushState", "");
watch("replaceState", /\?[^#]*/);
on(window, "popstate", () => judge(""));
on(window, "pageshow", ({ persisted }) => {
    if (!persisted) return;
    turn();
    view();
});

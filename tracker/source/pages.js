// Page views: at load, out of the back/forward cache, and where a router changes the address.

import { attributes, config, fragment } from "./config.js";
import { page, setPage, view } from "./events.js";
import { newId } from "./ids.js";
import { later, on } from "./quiet.js";

const loaded = { path: location.pathname, ...attributes };

/** Turn to the page that the address bar shows. What the tag says of its page is not said of a router's next one. */
export function turn(ref) {
    const isNamed = location.pathname === loaded.path || attributes.page !== loaded.page;
    const { page, kind } = isNamed ? attributes : {};
    setPage({ url: location.href, ref, hit: newId(), t: Date.now(), page, pk: kind });
}

/** Another page view, which came from the one before. */
export function next(props) {
    turn(page.url);
    view(props);
}

export function watchPages() {
    const query = /\?[^#]*/;
    let ignored;
    const judge = (part) => {
        // Routers push an address and replace it in one go.
        if (ignored == null) {
            later(() => {
                const [before, now] = [page.url, location.href].map((address) =>
                    address.replace(fragment, "").replace(ignored, ""),
                );
                ignored = null;
                if (before !== now) next();
            });
        }
        ignored = ignored === "" ? "" : part;
    };
    const watch = (name, part) => {
        const original = history[name];
        history[name] = function (...given) {
            const result = original.apply(this, given);
            judge(part);
            return result;
        };
    };
    watch("pushState", "");
    watch("replaceState", query);
    on(window, "popstate", () => judge(""));
    on(window, "pageshow", ({ persisted }) => {
        if (!persisted) return;
        turn();
        view();
    });
}

// What pages may call before the script is there. The calls wait in one list; ids are not known yet.

((window) => {
    if (window.oa) return;
    const flux = (window.flux = { q: [], decorate: (url) => url });
    const oa = (window.oa = (...given) => {
        flux.q.push(given);
    });
    "track consent experiment reset optOut".split(" ").map((name) => (flux[name] = (...given) => oa(name, ...given)));
    window._pgnt = {
        variables() {
            const nothing = {};
            "session_id user_id visit_id conversion_id experiment_id experiment_numeric_id variation_id is_control endpoint_path"
                .split(" ")
                .map((name) => (nothing[name] = null));
            return nothing;
        },
    };
})(window);

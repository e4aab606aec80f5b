// What pages may call before the script is there. The calls wait in one list; ids are not known yet.

window.oa ||
    ((
        page,
        flux = (page.flux = { q: [], decorate: (url) => url }),
        oa = (page.oa = (...given) => flux.q.push(given)),
    ) => {
        ["track", "consent", "experiment", "reset", "optOut"].map((name) => (flux[name] = (...given) => oa(name, ...given)));
        page._pgnt = {
            variables: (label, ids = {}) => (
                "session_id user_id visit_id conversion_id experiment_id experiment_numeric_id variation_id is_control endpoint_path"
                    .split(" ")
                    .map((name) => (ids[name] = null)),
                ids
            ),
        };
    })(window);
